"""`trimtab brief`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli import completion, options


def brief(
    reports: Annotated[
        list[Path],
        typer.Argument(
            help="Reports of trimtab check: folders, or their report.json.", autocompletion=completion.reports
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The page: a .html file, or a .pdf file, which Chromium or Chrome prints.")
    ] = Path("brief.html"),
    lang: options.Lang = None,
) -> None:
    """Two pages for those who decide: may we pilot this, how sure are we, what does it cost, and what next."""
    from trimtab.languages import spoken
    from trimtab.reports.brief.files import save
    from trimtab.reports.brief.html import ReportFile
    from trimtab.results.report import Report

    language = spoken(options.language_of(lang))
    folders = [path.parent if path.name == "report.json" else path for path in reports]
    found = [ReportFile(Report.load(folder), str(path)) for folder, path in zip(folders, reports, strict=True)]
    Console(soft_wrap=True).print(f"brief: {save(found, out, language)}", highlight=False, markup=False)
