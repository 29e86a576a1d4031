package org.openapitools.jackson.nullable;

/**
 * Stands in for jackson-databind-nullable, the one package of the generated Java client that neither Debian nor the
 * generator has. It has what the client uses.
 */
public final class JsonNullable<T> {
  private final T value;
  private final boolean isPresent;

  private JsonNullable(T value, boolean isPresent) {
    this.value = value;
    this.isPresent = isPresent;
  }

  public static <T> JsonNullable<T> undefined() { return new JsonNullable<>(null, false); }

  public static <T> JsonNullable<T> of(T value) { return new JsonNullable<>(value, true); }

  public T orElse(T other) { return isPresent ? value : other; }

  public T get() { return value; }
}
