"""From scout slices to landmarks in space: network, heatmaps, uncertainty, fusion."""
