#!/usr/bin/env python3
"""Checks that the arrows between Postern's targets point downwards.

`swift package dump-package` says which target depends on which; the table below says on which level each target lives
(Documentation/architecture.md explains it). A target may use its own level only where the table names it, and never a
level above. Pure libraries additionally may use no product that does input or output.
"""
import json
import subprocess
import sys

LEVELS = {
    "MailMessage": 0, "DNS": 0, "SASL": 0, "PosternMetrics": 0, "CLibIDN2": 0,
    "CUnbound": 0, "CExpat": 0, "CZlib": 0, "MailAuthentication": 1, "TransportSecurity": 1, "UnboundDNS": 1, "SMTP": 1, "IMAP": 1, "Milter": 1, "MailStore": 1,
    "DNSUpdate": 1, "ACME": 1,
    "Journeys": 2, "MailTransport": 2, "Posture": 2,
    "Gateway": 3,
    "Portal": 4, "Lab": 4, "CAllocator": 4,
    "postern": 5,
}
# Arrows inside one level that the architecture allows.
SAME_LEVEL = {("DNS", "CLibIDN2")}
# Level 1 targets that Journeys must not know, and the like: arrows that point down but stand in nobody's plan.
FORBIDDEN = {("Journeys", "MailStore"), ("Journeys", "UnboundDNS"), ("MailStore", "DNS"), ("IMAP", "DNS"), ("IMAP", "SMTP"), ("SMTP", "PosternMetrics"), ("IMAP", "PosternMetrics"), ("Journeys", "Milter")}
PURE = {"MailMessage", "DNS", "SASL", "SMTP", "IMAP", "Milter", "MailAuthentication", "TransportSecurity", "DNSUpdate", "ACME", "Posture"}
PURE_PRODUCTS = {"NIOCore", "Crypto", "CryptoExtras", "X509", "SwiftASN1"}


def uses(target):
    """The names of the targets and of the products that a target depends on."""
    targets, products = [], []
    for dependency in target["dependencies"]:
        for kind in ("byName", "target"):
            if kind in dependency:
                targets.append(dependency[kind][0])
        if "product" in dependency:
            products.append(dependency["product"][0])
    return targets, products


def faults(manifest):
    """Sentences about arrows that point upwards or sideways."""
    for target in manifest["targets"]:
        name = target["name"]
        if target["type"] == "test" or name == "MailTesting":
            continue
        if name not in LEVELS:
            yield f"target {name} has no level in scripts/check-arrows.py"
            continue
        targets, products = uses(target)
        for used in targets:
            if used == "MailTesting":
                yield f"{name} uses MailTesting, which is for tests only"
            elif used not in LEVELS:
                yield f"{name} uses {used}, which has no level"
            elif (name, used) in FORBIDDEN:
                yield f"{name} must not use {used}"
            elif LEVELS[used] >= LEVELS[name] and (name, used) not in SAME_LEVEL:
                yield f"{name} (level {LEVELS[name]}) uses {used} (level {LEVELS[used]})"
        if name in PURE:
            for product in products:
                if product not in PURE_PRODUCTS:
                    yield f"{name} is a pure library and must not use {product}"


def main():
    """Reads the manifest (or a dump given on standard input with `-`) and says what stands wrong."""
    if sys.argv[1:] == ["-"]:
        manifest = json.load(sys.stdin)
    else:
        manifest = json.loads(subprocess.run(["swift", "package", "dump-package"], check=True, stdout=subprocess.PIPE).stdout)
    found = list(faults(manifest))
    for fault in found:
        print("arrows:", fault, file=sys.stderr)
    if found:
        return 1
    print("arrows: all point downwards")
    return 0


sys.exit(main())
