"""What a person uses: link, board API, data sets, training, reports, command line."""
