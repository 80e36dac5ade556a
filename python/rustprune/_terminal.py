"""What every command shares: errors on one line, common options, a progress bar."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

PATH = click.Path(path_type=Path)


class Failure(click.ClickException):
    """An error on one line, exit code 1."""

    def show(self, file: object = None) -> None:  # noqa: ARG002 - the signature of click
        """Print it."""
        click.echo(f"rustprune: error: {' '.join(self.message.split())}", err=True)


class Commands(click.Group):
    """Sub-commands whose errors are told on one line."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a sub-command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            told = error.strerror and error.filename
            raise Failure(f"{error.filename}: {error.strerror}" if told else str(error)) from error
        except (ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            raise Failure(str(error)) from error


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Number of threads; all processors by default."
)


@contextmanager
def progress(label: str, *, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give a function that moves a bar, None where nobody would see one."""
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def tell(done: int, length: int) -> None:
            bar.length = max(length, 1)
            bar.update(done - bar.pos)

        yield tell
        tell(bar.length or 1, bar.length or 1)
