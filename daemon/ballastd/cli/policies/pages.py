"""What is made from the models of policies: the schema for editors, and the reference for readers."""

from __future__ import annotations

import click

from ballastd.cli.output import emit_document


@click.command("schema")
@click.option("-o", "--output", type=click.Choice(("json", "yaml")), default="json", show_default=True)
def schema_command(output: str) -> None:
    """Print the JSON Schema of policy documents, for editors and CI.

    \b
    Example:
      ballastctl policy schema > policies.schema.json
      # then, as the first line of a policy file:
      # yaml-language-server: $schema=../policies.schema.json
    """
    from ballastd.documents import policy_schema

    emit_document(policy_schema(), output)


@click.command("reference")
def reference_command() -> None:
    """Print every key of every policy, with its type, default, ceiling and meaning, as a page in Markdown.

    \b
    Example:
      ballastctl policy reference > policy-reference.md
    """
    from ballastd.documents.reference import as_page

    click.echo(as_page(), nl=False)
