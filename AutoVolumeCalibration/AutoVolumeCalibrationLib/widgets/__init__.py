"""The panel: Qt widgets and the application; no mathematics."""
