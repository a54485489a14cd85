"""Names what pyproject.toml cannot: the examples are installed under a name that nobody else claims."""

from setuptools import find_packages, setup

examples = [name.replace("examples", "isthmus_examples", 1) for name in find_packages(include=["examples*"])]
setup(packages=[*find_packages(include=["isthmus*"]), *examples], package_dir={"isthmus_examples": "examples"})
