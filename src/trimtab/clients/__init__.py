"""PromptingBaseline other servers."""
