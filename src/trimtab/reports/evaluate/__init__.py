"""DID IT WORK: a comparison of methods on tasks; statements, tables, curves, the page and the terminal."""
