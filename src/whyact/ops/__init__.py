"""Operations on video tensors."""
