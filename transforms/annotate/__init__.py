"""What is added to a clip: windows, previews, captions, embeddings."""
