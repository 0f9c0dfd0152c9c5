"""Points, directions and boxes in space: RAS mm."""
