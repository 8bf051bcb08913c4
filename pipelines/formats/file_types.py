"""Programming languages by file name and first line, named as GitHub Linguist and the datasets of code name them."""

from __future__ import annotations

import re

_EXTENSIONS = """
Ada: adb ads | Agda: agda | AppleScript: applescript | Assembly: asm s nasm | AutoHotkey: ahk | Awk: awk
Batchfile: bat cmd | BibTeX: bib | C: c h | C#: cs csx | C++: cc cpp cxx c++ hh hpp hxx h++ ipp tpp inl cppm ixx
CMake: cmake | COBOL: cob cbl cpy | CSS: css | CSV: csv | Cuda: cu cuh | Clojure: clj cljs cljc edn
CoffeeScript: coffee | Common Lisp: lisp lsp cl | Crystal: cr | Cython: pyx pxd pxi | D: d di | Dart: dart
Diff: diff patch | Dockerfile: dockerfile | Elixir: ex exs | Elm: elm | Emacs Lisp: el | Erlang: erl hrl
F#: fs fsi fsx | Forth: forth 4th | Fortran: f for f77 f90 f95 f03 f08 | GLSL: glsl vert frag geom comp | Gleam: gleam
Go: go | GraphQL: graphql gql | Groovy: groovy gradle | HCL: tf hcl tfvars | HTML: html htm xhtml | Haskell: hs lhs
INI: ini cfg conf properties | Idris: idr | JSON: json geojson jsonl webmanifest | Java: java
JavaScript: js mjs cjs jsx | Jinja: j2 jinja jinja2 | Julia: jl | Jupyter Notebook: ipynb | Kotlin: kt kts | LLVM: ll
Lean: lean | Less: less | Lua: lua | MATLAB: matlab | Makefile: mk mak make | Markdown: md markdown mdx mkd
Meson: meson | Metal: metal | Mojo: mojo | Nim: nim nims | Nix: nix | OCaml: ml mli mll mly | Objective-C: m
Objective-C++: mm | OpenCL: opencl | PHP: php phtml php5 | Pascal: pas pp lpr dpr | Perl: pl pm t pod
PowerShell: ps1 psm1 psd1 | Prolog: pro prolog | Protocol Buffer: proto | PureScript: purs | Python: py pyi pyw
R: r rmd | Racket: rkt | Raku: raku rakumod | Ruby: rb rake gemspec ru | Rust: rs | SCSS: scss | SQL: sql | SVG: svg
Sass: sass | Scala: scala sc sbt | Scheme: scm ss sld | Shell: sh bash zsh ksh | fish: fish | Solidity: sol
Standard ML: sml | Starlark: bzl star | Stylus: styl | Svelte: svelte | Swift: swift | SystemVerilog: sv svh
TOML: toml | Tcl: tcl tk | TeX: tex sty cls ltx | Text: txt text | Thrift: thrift | TypeScript: ts mts cts | TSX: tsx
V: v | VHDL: vhd vhdl | Visual Basic .NET: vb | Vim Script: vim | Vue: vue | WGSL: wgsl | WebAssembly: wat wast
XML: xml xsd xsl xslt rng wsdl plist | YAML: yml yaml | Zig: zig | reStructuredText: rst
"""
_NAMES = """
Makefile: makefile gnumakefile | Dockerfile: dockerfile containerfile | CMake: cmakelists.txt | Ruby: rakefile gemfile
Starlark: build build.bazel workspace | Meson: meson.build | Go Module: go.mod | Go Checksums: go.sum
Groovy: jenkinsfile | Just: justfile | TOML: cargo.lock poetry.lock | JSON: .babelrc .eslintrc
Git Attributes: .gitattributes .gitmodules | Ignore List: .gitignore .dockerignore | Shell: .bashrc .profile .zshrc
"""
_INTERPRETERS = """
Python: python pypy | Shell: sh bash dash zsh ksh ash | Perl: perl | Ruby: ruby jruby | JavaScript: node nodejs bun
TypeScript: deno ts-node | Lua: lua luajit | PHP: php | R: rscript | Awk: awk gawk mawk | Tcl: tclsh wish expect
Julia: julia | Groovy: groovy | Scala: scala | Haskell: runhaskell runghc | Makefile: make | fish: fish | Raku: raku
Clojure: bb | Elixir: elixir | Erlang: escript | Racket: racket | Scheme: guile | Common Lisp: sbcl | OCaml: ocaml
"""
_SHEBANG = re.compile(r"#![ \t]*(?:\S*/)?(\S+)([^\n]*)")


def _table(text: str) -> dict[str, str]:
    entries = (entry.split(":") for line in text.strip().splitlines() for entry in line.split(" | "))
    return {word: name for name, words in entries for word in words.split()}


EXTENSIONS = _table(_EXTENSIONS)
NAMES = _table(_NAMES)
INTERPRETERS = _table(_INTERPRETERS)


def file_type(name: str, text: str) -> str | None:
    """Language of a file, by its name, its extension, then its first line; None where none of them says.

    Extensions that two languages share go to the commoner one: `.h` is C, `.m` Objective-C, `.pl` Perl, `.v` V.

    >>> file_type("src/a.PY", ""), file_type("run", "#!/usr/bin/env -S python3 -u"), file_type("notes", "")
    ('Python', 'Python', None)
    """
    base = name.rpartition("/")[2].lower()
    known = NAMES.get(base) or EXTENSIONS.get(base.rpartition(".")[2] if "." in base[1:] else "")
    return known or _by_shebang(text)


def _by_shebang(text: str) -> str | None:
    match = _SHEBANG.match(text)
    if match is None:
        return None
    program = match[1]
    if program == "env":
        program = next((word for word in match[2].split() if not word.startswith("-") and "=" not in word), "")
    program = program.rpartition("/")[2].lower()
    return INTERPRETERS.get(program) or INTERPRETERS.get(program.rstrip("0123456789.-"))
