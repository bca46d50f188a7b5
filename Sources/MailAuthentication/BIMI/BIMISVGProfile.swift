/// The elements and attributes of SVG Tiny Portable/Secure, as its RELAX NG schema has them (svg-tiny-ps-1.2, draft-svg-tiny-ps-abrotman).
/// Whatever isn't named here is refused: a new danger needs no new rule.
enum BIMISVGProfile {
    static let svgNamespace = "http://www.w3.org/2000/svg"
    static let xmlNamespace = "http://www.w3.org/XML/1998/namespace"
    static let linkNamespace = "http://www.w3.org/1999/xlink"

    /// What may stand in an element.
    struct Element: Sendable {
        var attributes: Set<String>
        var children: Set<String>
        var hasText: Bool
    }

    private static let core: Set<String> = [
        "about", "class", "content", "datatype", "id", "property", "rel", "resource", "rev", "role", "typeof", "xml:base", "xml:id", "xml:lang",
        "xml:space",
    ]

    private static let painting: Set<String> = [
        "color", "color-rendering", "direction", "display-align", "fill", "fill-opacity", "fill-rule", "font-family", "font-size", "font-style",
        "font-variant", "font-weight", "line-increment", "solid-color", "solid-opacity", "stop-color", "stop-opacity", "stroke",
        "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width",
        "text-align", "text-anchor", "unicode-bidi", "vector-effect",
    ]

    private static let media: Set<String> = [
        "buffered-rendering", "display", "image-rendering", "shape-rendering", "text-rendering", "viewport-fill", "viewport-fill-opacity",
        "visibility",
    ]

    private static let conditions: Set<String> = ["requiredFonts", "systemLanguage"]

    private static let graphics: Set<String> = [
        "circle", "defs", "ellipse", "g", "line", "linearGradient", "path", "polygon", "polyline", "radialGradient", "rect", "solidColor", "text",
        "textArea", "use",
    ]

    private static func shape(_ attributes: Set<String>, hasText: Bool = false) -> Element {
        Element(attributes: core.union(painting).union(conditions).union(["transform"]).union(attributes), children: [], hasText: hasText)
    }

    private static func plain(_ attributes: Set<String>, children: Set<String> = []) -> Element {
        Element(attributes: core.union(painting).union(attributes), children: children, hasText: false)
    }

    /// The element by its name.
    static let elements: [String: Element] = [
        "svg": plain(
            [
                "baseProfile", "contentScriptType", "externalResourcesRequired", "focusable", "height", "playbackOrder", "preserveAspectRatio",
                "snapshotTime", "timelineBegin", "version", "viewBox", "width", "zoomAndPan",
            ], children: graphics.union(["title", "desc", "metadata"])),
        "title": Element(attributes: core.union(media).union(conditions), children: [], hasText: true),
        "desc": Element(attributes: core.union(media).union(conditions), children: [], hasText: true),
        "metadata": Element(attributes: [], children: [], hasText: true),
        "path": shape(["d", "pathLength"]),
        "rect": shape(["height", "rx", "ry", "width", "x", "y"]),
        "circle": shape(["cx", "cy", "r"]),
        "line": shape(["x1", "x2", "y1", "y2"]),
        "ellipse": shape(["cx", "cy", "rx", "ry"]),
        "polyline": shape(["points"]),
        "polygon": shape(["points"]),
        "textArea": shape(["height", "width", "x", "y"], hasText: true),
        "text": shape(["editable", "rotate", "x", "y"], hasText: true),
        "g": Element(attributes: shape([]).attributes, children: graphics, hasText: false),
        "defs": plain([], children: graphics),
        "use": shape(["href", "x", "y"]),
        "solidColor": plain([]),
        "linearGradient": plain(["gradientUnits", "x1", "x2", "y1", "y2"], children: ["stop"]),
        "radialGradient": plain(["cx", "cy", "gradientUnits", "r"], children: ["stop"]),
        "stop": plain(["offset"]),
    ]

    /// Attributes with a closed set of values.
    static let words: [String: Set<String>] = [
        "buffered-rendering": ["auto", "dynamic", "inherit", "static"],
        "color-rendering": ["auto", "inherit", "optimizeQuality", "optimizeSpeed"],
        "direction": ["inherit", "ltr", "rtl"],
        "display": [
            "block", "compact", "inherit", "inline", "inline-table", "list-item", "marker", "none", "run-in", "table", "table-caption",
            "table-cell", "table-column", "table-column-group", "table-footer-group", "table-header-group", "table-row", "table-row-group",
        ],
        "display-align": ["after", "auto", "before", "center", "inherit"],
        "editable": ["none"],
        "externalResourcesRequired": ["false"],
        "fill-rule": ["evenodd", "inherit", "nonzero"],
        "focusable": ["false"],
        "font-style": ["inherit", "italic", "normal", "oblique"],
        "font-variant": ["inherit", "normal", "small-caps"],
        "gradientUnits": ["objectBoundingBox", "userSpaceOnUse"],
        "image-rendering": ["auto", "inherit", "optimizeQuality", "optimizeSpeed"],
        "playbackOrder": ["all"],
        "shape-rendering": ["auto", "crispEdges", "geometricPrecision", "inherit", "optimizeSpeed"],
        "snapshotTime": ["none"],
        "stroke-linecap": ["butt", "inherit", "round", "square"],
        "stroke-linejoin": ["bevel", "inherit", "miter", "round"],
        "text-align": ["center", "end", "inherit", "start"],
        "text-anchor": ["end", "inherit", "middle", "start"],
        "text-rendering": ["auto", "geometricPrecision", "inherit", "optimizeLegibility", "optimizeSpeed"],
        "timelineBegin": ["onLoad"],
        "unicode-bidi": ["bidi-override", "embed", "inherit", "normal"],
        "vector-effect": ["inherit", "non-scaling-stroke", "none"],
        "visibility": ["collapse", "hidden", "inherit", "visible"],
        "xml:space": ["default", "preserve"],
        "zoomAndPan": ["disable"],
    ]

    /// Attributes whose text no renderer reads as a colour, a number or a function.
    static let freeText: Set<String> = [
        "about", "class", "content", "contentScriptType", "datatype", "font-family", "id", "property", "rel", "requiredFonts", "resource", "rev",
        "role", "systemLanguage", "typeof", "xml:base", "xml:id", "xml:lang",
    ]

    /// The functions that the other attributes may use, in lower case.
    static func functions(of attribute: String) -> Set<String> {
        switch attribute {
        case "fill", "stroke", "color", "solid-color", "stop-color", "viewport-fill": ["rgb", "url"]
        case "transform": ["matrix", "ref", "rotate", "scale", "skewx", "skewy", "translate"]
        default: []
        }
    }

    static let animations: Set<String> = ["animate", "animateColor", "animateMotion", "animateTransform", "set", "mpath", "discard"]
    static let multimedia: Set<String> = ["animation", "audio", "image", "video", "feImage", "iframe", "canvas", "embed", "object", "cursor"]
    static let scripts: Set<String> = ["script", "handler", "listener"]
}
