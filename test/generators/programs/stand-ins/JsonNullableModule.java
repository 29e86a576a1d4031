package org.openapitools.jackson.nullable;

/** Stands in for the module that would write a JsonNullable. The program sends none. */
public class JsonNullableModule extends com.fasterxml.jackson.databind.module.SimpleModule {
  private static final long serialVersionUID = 1L;
}
