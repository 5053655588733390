"""Markdown tables out of what a command prints."""


def printed_tables(text: str) -> list[list[dict[str, str]]]:
    """Each table as a list of rows, cells by their column's title."""
    tables: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                tables.append([])
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return [[dict(zip(table[0], row, strict=True)) for row in table[2:]] for table in tables]
