"""The page for a short link that cannot be followed."""

from html import escape

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Document link</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1.5rem}}</style></head>
<body><main><p><strong>{}</strong></p><h1>Document link</h1><p>{}</p></main></body></html>
"""


def link_page(reason: str, brand: str) -> str:
    """The page as HTML. reason, brand: plain text; signers know the brand from their messages."""
    return PAGE.format(escape(brand), escape(reason))
