"""Which modules a program stands on, from the graph of imports that import-linter checks."""

import sys
import tomllib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import grimp


class ImportGraph:
    """The imports between the `root_packages` of import-linter in pyproject.toml, without those for types."""

    def __init__(self, root: Path) -> None:
        settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
        self.root_packages = frozenset[str](settings["root_packages"])
        sys.path.insert(0, str(root))  # where grimp looks for packages
        try:
            self._graph = grimp.build_graph(
                *sorted(self.root_packages),
                exclude_type_checking_imports=settings["exclude_type_checking_imports"],
                cache_dir=None,
            )
        finally:
            sys.path.remove(str(root))

    def module_of(self, file: PurePosixPath) -> str:
        """The module of a Python file; of any other file, and of one that was deleted, the nearest package.

        All programs that stand on a module of this package stand on the package, too. Raises LookupError for
        a file outside the root packages.
        """
        if file.suffix == ".py":
            module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
            if module in self._graph.modules:
                return module
        for folder in file.parents:
            package = ".".join(folder.parts)
            if package in self._graph.modules:
                return package
        raise LookupError(f"{file} is in none of {', '.join(sorted(self.root_packages))}")

    def stands_on(self, programs: Collection[str]) -> frozenset[str]:
        """The modules of the programs, everything that these import, and the packages of all of them.

        A program is a module, or a root package with everything in it. Raises LookupError for another name.
        """
        left = list(programs)
        for program in programs:
            if program not in self._graph.modules:
                raise LookupError(f"{program} is no module of {', '.join(sorted(self.root_packages))}")
            if program in self.root_packages:
                left += self._graph.find_descendants(program)
        found: set[str] = set()
        while left:
            module = left.pop()
            if module not in found:
                found.add(module)
                left += self._graph.find_modules_directly_imported_by(module)
                left += filter(None, [module.rpartition(".")[0]])  # importing a.b runs a, too
        return frozenset(found)
