"""The rows of the layer table: one kind of layers a file, each a function that yields its cases."""
