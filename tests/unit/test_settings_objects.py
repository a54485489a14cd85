"""The user's own code, named in the settings."""

import textwrap
from pathlib import Path

import pytest

from isthmus.chance import unique_name
from isthmus.errors import Mistake, WrongSettings
from isthmus.settings import load, load_object, load_pipelines

CODE = """
    from pydantic import BaseModel, ConfigDict
    from isthmus.pipeline import Pipeline

    class Flight(BaseModel):
        model_config = ConfigDict(strict=True)
        key: str
        tail: str | None

    flights = Pipeline(entity="flight", contract=Flight, key=lambda row: row["K"], translate=lambda row, _: [])
    hotels = Pipeline(entity="hotel", contract=Flight, key=lambda row: row["K"], translate=lambda row, _: [])
    nothing = None
"""

PARTS = """
    import functools
    from pydantic import BaseModel, ConfigDict
    from isthmus.change import Kind
    from isthmus.pipeline import Pipeline, RowFunction

    class Flight(BaseModel):
        model_config = ConfigDict(strict=True)
        key: str

    class Loose(BaseModel):
        key: str

    class Lax(BaseModel):
        model_config = ConfigDict(strict=False)
        key: str

    class Torn(BaseModel):
        model_config = ConfigDict(strict=True)
        key: "Nowhere"

    class Late(BaseModel):
        model_config = ConfigDict(strict=True)
        key: "Later"

    Later = str

    class Called:
        def __call__(self, *_): pass

    def now(*_): pass
    async def later(*_): pass
    def yields(*_): yield 1
    async def yields_later(*_): yield 1

    class Waits:
        async def __call__(self, *_): pass

    RIGHT = dict(entity="flight", contract=Flight, key=now, translate=now)
"""


class Project:
    """A folder with settings and one module of the user's beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = f"user_{unique_name()}"
        self.write(self.module, CODE)

    def write(self, module: str, code: str) -> None:
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")

    def settings(self, *names: str, columns: str = "", flight: str = "table = 'flight'") -> Path:
        sources = "".join(
            f"[sources.s{number}]\npipeline = '{name}'\nurl = 'sqlite:///x'\ntable = 'T'\nkey = 'K'\n"
            "cursor = 'C'\norder = 'commit'\n"
            for number, name in enumerate(names)
        )
        path = self.folder / "isthmus.toml"
        path.write_text(
            "application = 'x'\nstream = {name = 'x'}\nstore = {url = 'sqlite:///y'}\n"
            f"[entities.flight]\n{flight}\n{f'columns = {{{columns}}}' if columns else ''}\n{sources}",
            encoding="utf-8",
        )
        return path

    def mistakes(self, *names: str, columns: str = "", flight: str = "table = 'flight'") -> list[Mistake]:
        with pytest.raises(WrongSettings) as caught:
            load_pipelines(load(self.settings(*names, columns=columns, flight=flight), {}))
        return caught.value.mistakes

    def pipeline(self, part: str) -> str:
        """Write a pipeline that is right but for this, and give its name."""
        self.write(self.module, PARTS + f"    pipeline = Pipeline(**(RIGHT | dict({part})))\n")
        return f"{self.module}:pipeline"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_pipeline_beside_the_settings_is_found(project: Project) -> None:
    settings = load(project.settings(f"{project.module}:flights", columns="tail = 'TAIL'"), {})
    assert load_pipelines(settings)["s0"].entity == "flight"


def test_an_object_inside_another_is_found(project: Project) -> None:
    assert load_object(f"{project.module}:Flight.model_fields", project.folder).keys() == {"key", "tail"}


def test_the_folder_never_stands_before_the_standard_library(project: Project) -> None:
    project.write("colorsys", "mine = True")
    assert load_object("colorsys:rgb_to_hsv", project.folder) is not None


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("nowhere:flights", "there is no module nowhere, neither installed nor in"),
        ("MODULE.deeper:flights", "there is no module"),
        ("MODULE:flight", "did you mean flights?"),
        ("MODULE:nothing", "must be an isthmus.pipeline.Pipeline, and is a NoneType"),
        ("MODULE:Flight", "must be an isthmus.pipeline.Pipeline, and is a ModelMetaclass"),
        ("MODULE:hotels", "makes entities of type hotel: add a section [entities.hotel]"),
        ("needs:flights", "the module needs needs not_installed_anywhere, which is not installed"),
        ("breaks:flights", "importing breaks failed: ZeroDivisionError"),
        ("leaves:flights", "importing leaves failed: SystemExit"),
    ],
)
def test_what_cannot_be_used_is_a_mistake(project: Project, name: str, sentence: str) -> None:
    project.write("needs", "import not_installed_anywhere")
    project.write("breaks", "1 / 0")
    project.write("leaves", "raise SystemExit(0)")
    name = name.replace("MODULE", project.module)
    (mistake,) = project.mistakes(name)
    assert (mistake.file, mistake.path) == (str(project.folder / "isthmus.toml"), "sources.s0.pipeline")
    assert mistake.value == f'"{name}"'
    assert sentence in mistake.allowed


@pytest.mark.parametrize(
    "part, sentence",
    [
        ("entity=None", "its entity must be a name of 1 to 48 lower-case letters, digits, - or _, a letter first"),
        ("entity=['flight']", "its entity must be a name of"),
        ("entity='Flight'", "its entity must be a name of"),
        ("contract=dict", "its contract must be a pydantic model, a subclass of BaseModel, and is the class dict"),
        ("contract=Flight(key='')", "its contract must be a pydantic model, a subclass of BaseModel, and is a"),
        ("contract=Loose", "its contract Loose must be strict: give it model_config = ConfigDict(strict=True)"),
        ("contract=Lax", "its contract Lax must be strict: give it model_config = ConfigDict(strict=True)"),
        ("contract=Torn", "its contract Torn names a type that is not defined, or that pydantic does not know"),
        ("key='K'", "its key must be a function, no async one and no generator, and is a str"),
        ("key=later", "its key must be a function, no async one and no generator, and is the function later"),
        ("translate=None", "its translate must be a function, no async one and no generator, and is a NoneType"),
        ("kind='event'", "its kind must be Kind.STATE or Kind.EVENT of isthmus.change, and is a str"),
        ("handlers=now", "e.g. (on_change,), and are the function now"),
        ("handlers=None", "its handlers must be a tuple or a list of functions, with a comma after a single one"),
        ("handlers=(now, later)", "its handler 2 must be a function, no async one and no generator, and is the"),
        ("handlers=[yields]", "its handler 1 must be a function, no async one and no generator, and is the function"),
        ("handlers=[Waits()]", "its handler 1 must be a function, no async one and no generator, and is a Waits"),
        (
            "handlers=[functools.partial(yields_later)]",
            "its handler 1 must be a function, no async one and no generator",
        ),
        ("handlers=[None]", "its handler 1 must be a function, no async one and no generator, and is a NoneType"),
        ("version=2", "its version must be text in quotes, and is a int"),
        ("row=now", "its row must be an isthmus.pipeline.RowFunction, and is the function now"),
        ("row=RowFunction('size', now)", "with a comma after a single one"),
        ("row=RowFunction((), now)", "the columns of its row must be a tuple or a list of names"),
        ("row=RowFunction((1,), now)", "the columns of its row must be a tuple or a list of names"),
        ("row=RowFunction(('a', 'b', 'a'), now)", "the columns of its row must not name one twice"),
        ("row=RowFunction(('a',), later)", "the values of its row must be a function, no async one and no generator"),
    ],
)
def test_a_part_of_a_pipeline_that_is_not_what_it_must_be_is_a_mistake(
    project: Project, part: str, sentence: str
) -> None:
    columns = "" if part.startswith("row=RowFunction") else "key = 'K'"
    (mistake,) = project.mistakes(project.pipeline(part), columns=columns)
    assert (mistake.path, mistake.value) == ("sources.s0.pipeline", f'"{project.module}:pipeline"')
    assert sentence in mistake.allowed


@pytest.mark.parametrize(
    "part",
    [
        "kind=Kind.EVENT",
        "handlers=[now, Called()]",
        "contract=Late",
        "key=functools.partial(now, 1)",
        "row=RowFunction(['size'], Called())",
    ],
)
def test_a_part_of_a_pipeline_may_be_anything_that_will_do(project: Project, part: str) -> None:
    assert load_pipelines(load(project.settings(project.pipeline(part)), {})).keys() == {"s0"}


def test_all_wrong_parts_of_all_pipelines_are_told_at_once(project: Project) -> None:
    wrong = "a = Pipeline(None, None, None, None, None, None, None)"
    other = "b = Pipeline(**(RIGHT | dict(entity='hotel', handlers=now, version=2)))"
    project.write(
        project.module, f"{PARTS}    {wrong}\n    {other}\n    c = Pipeline(**(RIGHT | dict(contract=Loose)))"
    )
    mistakes = project.mistakes(*(f"{project.module}:{name}" for name in "aabc"), columns="nose = 'NOSE'")
    told = [(mistake.path.split(".")[1], mistake.allowed.split(" ", 2)[:2]) for mistake in mistakes]
    parts = ["entity", "contract", "key", "translate", "kind", "handlers", "version"]
    assert told == [
        *(("s0", ["its", part]) for part in parts),
        *(("s1", ["its", part]) for part in parts),
        ("s2", ["its", "handlers"]),
        ("s2", ["its", "version"]),
        ("s2", ["makes", "entities"]),
        ("s3", ["its", "contract"]),
        ("flight", ["the", "contract"]),
    ]


def test_all_pipelines_are_looked_at_before_the_mistakes_are_told(project: Project) -> None:
    mistakes = project.mistakes("nowhere:x", f"{project.module}:flights", "elsewhere:x", columns="nose = 'NOSE'")
    assert [mistake.path for mistake in mistakes] == [
        "sources.s0.pipeline",
        "sources.s2.pipeline",
        "entities.flight.columns.nose",
    ]
    assert mistakes[-1].allowed == "the contract has no field nose"


def test_an_entity_type_comes_from_one_source(project: Project) -> None:
    (mistake,) = project.mistakes(f"{project.module}:flights", f"{project.module}:flights")
    assert mistake.path == "sources.s1.pipeline"
    assert "come from the source s0 already" in mistake.allowed


@pytest.mark.parametrize(
    "part, flight, path, value, allowed",
    [
        ("", "", "table", "", "is required: an entity of kind state is a row of it"),
        ("handlers=(now,)", "", "table", "", "is required: an entity of kind state is a row of it"),
        ("kind=Kind.EVENT", "", "table", "", "is required where the pipeline has no handlers"),
        (
            "kind=Kind.EVENT, handlers=(now,), row=RowFunction(('a',), now)",
            "",
            "table",
            "",
            "is required: the pipeline has a row function",
        ),
        (
            "row=RowFunction(('a',), now)",
            "table = 't'\ncolumns = {key = 'K'}",
            "columns.key",
            '"K"',
            "says nothing: the pipeline's row function names the columns",
        ),
        ("row=RowFunction(('key', 'a'), now)", "table = 't'", "key_column", '"key"', "must differ from the columns of"),
        (
            "row=RowFunction(('a', 'b'), now)",
            "table = 't'\nkey_columns = {b = '{key}'}",
            "key_columns",
            '"b"',
            "must differ from the columns of",
        ),
        (
            "row=RowFunction(('a',), now)",
            "table = 't'\nversion_column = 'a'",
            "version_column",
            '"a"',
            "must differ from the columns of",
        ),
    ],
)
def test_an_entity_s_section_fits_its_pipeline(  # noqa: PLR0917 - a row of a table
    project: Project, part: str, flight: str, path: str, value: str, allowed: str
) -> None:
    (mistake,) = project.mistakes(project.pipeline(part), flight=flight)
    assert (mistake.path, mistake.value) == (f"entities.flight.{path}", value)
    assert allowed in mistake.allowed


def test_events_with_handlers_need_no_table(project: Project) -> None:
    name = project.pipeline("kind=Kind.EVENT, handlers=(now,)")
    assert load_pipelines(load(project.settings(name, flight=""), {})).keys() == {"s0"}
