"""Other tools' configurations to boxes."""
