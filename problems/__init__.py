"""Problem families: generators that return frozen instances together with their true constants."""
