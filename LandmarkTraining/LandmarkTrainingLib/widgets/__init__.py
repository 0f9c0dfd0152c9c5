"""The training panel: Qt widgets and the application; no mathematics."""
