"""The page for a short link that cannot be followed."""

from shared.domain.brands import Brand
from shared.text.render import Context, Texts, environment, template_values

MARK = "<!-- link {} -->"  # at the page's end, in every language: what uptime checks and `make smoke` look for


def link_page(reason: str, brand: Brand, texts: Texts, language: str) -> str:
    """The page as HTML. reason: of the words page_unknown, page_signed, ..., the part after "page_"."""
    values = template_values(Context(brand=brand.name, contact=brand.contact), texts, language)
    names = [f"{language}/page.html", "page.html"]
    page = environment(texts.folders).select_template(names)
    return f"{page.render(values | {'reason': values[f'page_{reason}']})}\n{MARK.format(reason)}\n"
