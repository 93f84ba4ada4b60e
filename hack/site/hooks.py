# Copyright The Platen Authors.
# SPDX-License-Identifier: Apache-2.0
"""What MkDocs does otherwise than GitHub, for which the pages are written."""

import os
import posixpath
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
# The pages of the repository's root, which the site has beside those of docs/.
ROOT_PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]

CODE = re.compile(r"^ *```.*?^ *```[^\n]*$|`[^`\n]*`", re.M | re.S)
COMMENT = re.compile(r"^ *<!--.*?-->\n?", re.M | re.S)
LINK = re.compile(r'(\]\(|src="|href=")([^)"#\s]*)(#[^)"\s]*)?')
ITEM = re.compile(r"^ *([-*]|\d+\.) ")


def slug(heading, separator):
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", separator)


def on_config(config):
    config["mdx_configs"]["toc"] = {"slugify": slug}
    return config


def on_files(files, config):
    # MkDocs takes a folder of this name for that of a theme.
    for name in sorted(os.listdir(os.path.join(config["docs_dir"], "templates"))):
        files.append(File("templates/" + name, config["docs_dir"], config["site_dir"], config["use_directory_urls"]))
    for name in ROOT_PAGES:
        files.append(File(name, ROOT, config["site_dir"], config["use_directory_urls"]))
    return files


def on_nav(nav, config, files):
    placed = {page.file.src_path for page in nav.pages}
    lost = sorted(f.src_path for f in files.documentation_pages() if f.src_path not in placed)
    if lost:
        raise PluginError("hack/site/mkdocs.yml: nav has no place for " + ", ".join(lost))
    return nav


def on_page_markdown(markdown, page, config, files):
    name = page.file.src_path
    source = name if name in ROOT_PAGES else "docs/" + name

    def link(match):
        before, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match.group(0)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        full = os.path.join(ROOT, path)
        if os.path.isfile(os.path.join(full, "README.md")):
            path = posixpath.join(path, "README.md")
        if path in ROOT_PAGES:
            there = path
        elif path.startswith("docs/") and os.path.isfile(os.path.join(ROOT, path)):
            there = path[len("docs/"):]
        else:
            kind = "tree" if os.path.isdir(full) else "blob"
            return f"{before}{config['repo_url'].rstrip('/')}/{kind}/main/{path}{anchor}"
        return before + posixpath.relpath(there, posixpath.dirname(name) or ".") + anchor

    def prose(text):
        """Drop the marks for tests, and correct links."""
        return LINK.sub(link, text)

    markdown = COMMENT.sub("", markdown)
    out, at = [], 0
    for code in CODE.finditer(markdown):
        out += [prose(markdown[at:code.start()]), code.group(0)]
        at = code.end()
    out.append(prose(markdown[at:]))
    return blank_before_lists("".join(out))


def blank_before_lists(markdown):
    """Let a list follow a paragraph at once, as it may on GitHub."""
    lines, code = [], False
    for line in markdown.split("\n"):
        if line.lstrip().startswith("```"):
            code = not code
        before = lines[-1] if lines else ""
        if not code and ITEM.match(line) and before.strip() and not ITEM.match(before) and not before.startswith(" "):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
