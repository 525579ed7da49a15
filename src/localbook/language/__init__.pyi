from .llama import Shape, llama
from .tokens import Tokenizer
from .weights import LanguageModel, read, smollm2, smollm2_file

__all__ = ["LanguageModel", "Shape", "Tokenizer", "llama", "read", "smollm2", "smollm2_file"]
