"""Executes the notebooks on the real kernel, and keeps or compares what they show.

The sources are the .md files. A stored .ipynb is its source plus what the kernel said, without anything that would change from
run to run: no timings, no random ids, no paths. Figures arrive as SVG and as PNG; the PNG is kept, in few colours, since
repository pages take SVGs apart.
"""

import argparse
import base64
import io
import math
import os
import queue
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from jupyter_core.utils import run_sync
from PIL import Image

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent

# Without it a panic ends a cell, not the run: what it prints may even come after the cell has ended.
GUARD = "std::panic::set_hook(Box::new(|info| { eprintln!(\"{info}\"); std::process::abort(); }));"
MOST_BYTES = 400_000
MOST_WIDE = 900  # pixels of a sheet of images on a page
SECONDS = 1800  # of one cell: the first of Part II compiles the tensor library
COLOURS = 64
LANGUAGE = {"name": "rust", "file_extension": ".rs", "mimetype": "text/rust", "pygments_lexer": "rust"}


class Trouble(Exception):
    """What a reader of the run must know."""


def read_source(path):
    """The notebook of a source, with ids and metadata that depend on nothing else."""
    notebook = jupytext.read(path)
    kernel = notebook.metadata["kernelspec"]
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": LANGUAGE})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number:02}", {}
    check_cells(path, notebook.cells)
    return notebook


def check_cells(path, cells):
    """Fails unless the first cell leads to the page and to the kernel, and each prediction has a cell of its own."""
    for wanted in (f"(../book/read/{path.stem}.md)", "evcxr_jupyter --install"):
        if wanted not in cells[0].source:
            raise Trouble(f"{path.name}: its first cell does not have {wanted}")
    for cell in cells:
        if "**Predict before" in cell.source and not cell.source.startswith("**Predict before"):
            raise Trouble(f"{path.name}: leave two lines before this prediction, for a cell of its own:\n{cell.source}")


def text_of(output):
    """The text that an output shows, without colours."""
    parts = output.get("text", ""), "\n".join(output.get("traceback", [])), output.get("data", {}).get("text/plain", "")
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(parts))


def complaint(cell):
    """What a cell that ran has to complain about, or nothing."""
    errors = [text_of(o) for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    if any(re.match(r"(Checks|Figure|Panel|Table) \{", text_of(o)) for o in cell.outputs):
        # The kernel falls back to the fields of what it shows if the last line moves a variable.
        errors.append("The cell shows a value by its fields: end it in a variable, with the value made the line before.")
    return "\n".join(errors).strip()


def late_complaint(client, patience=0.2):
    """What the kernel prints on stderr after it has called a cell done."""
    late = []
    while True:
        try:
            message = run_sync(client.kc.get_iopub_msg)(timeout=patience)
        except queue.Empty:
            return "".join(late).strip()
        if message["msg_type"] == "stream" and message["content"]["name"] == "stderr":
            late.append(message["content"]["text"])


def execute(notebook, name):
    """Runs all cells; the first that panics, fails to compile or gives an error ends the run."""
    client = NotebookClient(
        notebook, kernel_name="rust", timeout=SECONDS, startup_timeout=300, record_timing=False, coalesce_streams=True,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    with client.setup_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        notebook.cells.insert(0, nbformat.v4.new_code_cell(GUARD))
        client.execute_cell(notebook.cells[0], 0)
        del notebook.cells[0]
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            try:
                client.execute_cell(cell, index)
                problem = complaint(cell) or late_complaint(client)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                problem = complaint(cell) or str(error)
            if problem:
                raise Trouble(f"{name}, cell {index + 1}:\n{cell.source}\n\n{problem}")


def few_colours(png, drawn):
    """A PNG at a third of its size, and its width on a page: of what is drawn, two pixels stand for one; a sheet of images is shown as it is."""
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    small = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode(), picture.width // 2 if drawn else min(picture.width, MOST_WIDE)


def tidy(notebook, name):
    """Leaves only what is the same in every run."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            data = output.get("data", {})
            if "image/png" in data:
                png, width = few_colours(data["image/png"], "image/svg+xml" in data)
                output.data = nbformat.from_dict({"image/png": png})
                output.metadata = nbformat.from_dict({"image/png": {"width": width}})
            for path in (str(REPOSITORY), str(Path.home()), tempfile.gettempdir() + "/"):
                if path in text_of(output):
                    raise Trouble(f"{name}: a path of this machine, {path}, is in the output of\n{cell.source}")


def source_of(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def words(text):
    """A text's words, without the rules of tables, whose length follows the numbers."""
    return [word for word in text.split() if set(word) != {"─"}]


def same_word(ours, theirs, varies):
    """Whether two words are equal, or numbers that another processor may well give: any, where one trains or times."""
    if ours == theirs:  # inf and nan are not near themselves
        return True
    try:
        ours, theirs = float(ours), float(theirs)
    except ValueError:
        return False
    apart = abs(ours - theirs)  # between an infinity and any number, as far as 2 % of the infinity
    return varies or math.isfinite(apart) and apart <= 1e-6 + 0.02 * max(abs(ours), abs(theirs))


def difference(fresh, stored, varies):
    """How the outputs of a fresh run and of a stored one differ, or nothing."""
    shown = lambda cell: [(o.output_type, sorted(o.get("data", {}))) for o in cell.outputs]
    if shown(fresh) != shown(stored):
        return "it shows other things"
    for ours, theirs in zip(fresh.outputs, stored.outputs):
        ours, theirs = words(text_of(ours)), words(text_of(theirs))
        if len(ours) != len(theirs):
            return "it prints more or fewer words"
        for new, old in zip(ours, theirs):
            if not same_word(new, old, varies):
                return f"it prints {new}, the stored page says {old}"
    return ""


def compare(fresh, source, path):
    """Fails if a stored notebook is not its source, with what the source, run now, shows."""
    if not path.exists():
        raise Trouble(f"{path.name} is missing: run notebooks/run {path.stem}")
    stored = nbformat.read(path, as_version=4)
    stale = f"STALE: {path.name} is not what {path.stem}.md gives; run notebooks/run {path.stem}\n"
    for number, (ours, theirs) in enumerate(zip(source_of(source), source_of(stored)), 1):
        if ours != theirs:
            raise Trouble(f"{stale}cell {number} is, in the source:\n{ours[1]}\n\nand stored:\n{theirs[1]}")
    if len(source.cells) != len(stored.cells):
        raise Trouble(f"{stale}{len(source.cells)} cells in the source, {len(stored.cells)} stored")
    trained = any("Trainer::" in cell.source for cell in source.cells)
    for number, (ours, theirs) in enumerate(zip(fresh.cells, stored.cells), 1):
        varies = trained or ".seconds(" in ours.source
        if ours.cell_type == "code" and (how := difference(ours, theirs, varies)):
            raise Trouble(f"{stale}cell {number}: {how}\n{ours.source}")


def prove_the_gate():
    """Fails unless a panic, a failed assert, an error and code that does not compile each fail a run."""
    wrong = {
        "a failed assert": "assert_eq!(1 + 1, 3);",
        "a panic": "panic!(\"on purpose\")",
        "a panic in a thread": "std::thread::spawn(|| panic!(\"on purpose\")).join().ok();",
        "an error": "let number: i32 = \"three\".parse::<i32>()?;",
        "code that does not compile": "let number: i32 = \"three\";",
    }
    for what, code in wrong.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        try:
            execute(notebook, what)
        except Trouble:
            print(f"  {what} fails a run, as it should", flush=True)
        else:
            raise Trouble(f"{what} did not fail the run")


def prove_the_comparison():
    """Fails unless printed words are told apart as they should be."""
    same = [("inf", "inf"), ("-inf", "-inf"), ("NaN", "NaN"), ("ok", "ok"), ("1.00", "1.01"), ("3e-16", "-1e-16")]
    other = [("inf", "-inf"), ("inf", "3.0"), ("NaN", "3.0"), ("ok", "no"), ("1.00", "1.10"), ("inf", "ok")]
    for pairs, expected in [(same, True), (other, False)]:
        for ours, theirs in pairs:
            if same_word(ours, theirs, varies=False) != expected:
                raise Trouble(f"{ours} and {theirs} should be {'the same' if expected else 'told apart'}")
    print(f"  {len(same) + len(other)} pairs of words are compared as they should", flush=True)


def store(notebook, path):
    text = nbformat.writes(notebook) + "\n"
    if len(text) > MOST_BYTES:
        raise Trouble(f"{path.name} would have {len(text)} bytes, at most {MOST_BYTES}: draw fewer or smaller figures")
    path.write_text(text, encoding="utf-8")


def one(command, source):
    started = time.monotonic()
    notebook = read_source(source)
    execute(notebook, source.name)
    tidy(notebook, source.name)
    if source_of(notebook) != source_of(read_source(source)):
        raise Trouble(f"{source.name}: running it changed its cells")
    path = source.with_suffix(".ipynb")
    if command == "run":
        store(notebook, path)
    else:
        compare(notebook, read_source(source), path)
    print(f"  {source.stem}: ok, {time.monotonic() - started:.0f} s", flush=True)


def chosen(names):
    """The sources that are named, or all; every chapter must have one."""
    sources = {path.stem: path for path in sorted(FOLDER.glob("ch[0-9][0-9]_*.md"))}
    if names:
        unknown = [name for name in names if name not in sources]
        if unknown:
            raise Trouble(f"there is no notebook {unknown[0]}; there are {', '.join(sources)}")
        return [sources[name] for name in names]
    chapters = {path.stem for path in (REPOSITORY / "chapters").glob("ch[0-9][0-9]_*.rs")}
    stored = {path.stem for path in FOLDER.glob("ch[0-9][0-9]_*.ipynb")}
    if missing := sorted(chapters - set(sources)):
        raise Trouble(f"chapter {missing[0]} has no notebook: write notebooks/{missing[0]}.md")
    if orphans := sorted(stored - set(sources)):
        raise Trouble(f"{orphans[0]}.ipynb has no source: write {orphans[0]}.md or remove it")
    return list(sources.values())


def place_of_cells(build):
    """A folder for the crate that the kernel makes of the cells, below the workspace's profile.

    The kernel would optimise the cells, which run once, as much as the libraries in which the time goes, and compile everything that
    the libraries need anew for that.
    """
    manifest = (REPOSITORY / "Cargo.toml").read_text(encoding="utf-8")
    profile = re.findall(r"^\[profile\.dev\b.*?(?=^\[|\Z)", manifest, re.M | re.S)
    if not profile:
        raise Trouble("Cargo.toml has no [profile.dev]")
    (Path(build) / ".cargo").mkdir()
    (Path(build) / ".cargo/config.toml").write_text("".join(profile), encoding="utf-8")
    place = Path(build) / "cells"
    place.mkdir()
    return str(place)


def run_all(command, sources):
    """Runs the notebooks one after the other; returns how many failed."""
    failures = 0
    # One place for all notebooks: the library is compiled once, not once for each of them. It must lie outside of the
    # repository, where cargo would take it for a part of the workspace.
    with tempfile.TemporaryDirectory(prefix="ddpm-notebooks-") as build:
        os.environ["EVCXR_TMPDIR"] = place_of_cells(build)
        # The kernel keeps what it compiled for other notebooks, too. Of two builds of one crate it may take the wrong one.
        os.environ["XDG_CACHE_HOME"] = f"{build}/cache"
        # A kernel has threads of its own, so the library leaves the number of the tensor library's threads as it is.
        os.environ.setdefault("CANDLE_NUM_THREADS", "1")
        for source in sources:
            try:
                one(command, source)
            except Trouble as trouble:
                failures += 1
                print(f"\n✗ {trouble}\n", file=sys.stderr, flush=True)
    return failures


def run_side_by_side(command, sources):
    """Runs Part I beside Part II, in processes of their own; returns how many of the two have a failure.

    Most of a notebook's time goes into compiling its cells, one after the other: on one processor.
    """
    part_2 = [source for source in sources if "ddpm-unet" in source.read_text(encoding="utf-8")]
    parts = [[source.stem for source in sources if source not in part_2], [source.stem for source in part_2]]
    runs = [subprocess.Popen([sys.executable, __file__, command, *names, "--one-by-one"]) for names in parts if names]
    return sum(run.wait() != 0 for run in runs)


def main():
    parser = argparse.ArgumentParser(prog="notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "check"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="ch01_forward, …; without a name, all")
    parser.add_argument("--one-by-one", action="store_true", help="Part I and Part II not side by side")
    arguments = parser.parse_args()
    try:
        sources = chosen(arguments.names)
        if arguments.one_by_one:
            sys.exit(1 if run_all(arguments.command, sources) else 0)
        if arguments.command == "check":
            print("That a wrong notebook is found:", flush=True)
            prove_the_comparison()
            prove_the_gate()
        print("The notebooks, on the Rust kernel (the first one of a part compiles its library):", flush=True)
        if run_side_by_side(arguments.command, sources):
            sys.exit(f"notebooks/{arguments.command}: it failed, see above")
    except Trouble as trouble:
        sys.exit(f"notebooks/{arguments.command}: {trouble}")


if __name__ == "__main__":
    main()
