/// Selectors that many organisations and providers use.
public enum PostureSelectors {
    /// Those that are tried where nobody names one; the DNS doesn't list them.
    public static let common = [
        "default", "dkim", "mail", "smtp", "s1", "s2", "selector1", "selector2", "k1", "k2", "k3", "key1", "key2", "google", "mx", "x", "fm1", "fm2",
        "fm3", "protonmail", "sig1", "mandrill", "everlytickey1", "dkim1", "dkim2", "ed25519", "rsa", "20230601",
    ]
}
