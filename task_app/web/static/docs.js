// The page at /docs: Swagger UI over /openapi.json of the same host.
"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  filter: true,
  displayRequestDuration: true,
  // Over a hundred operations: with their tags open they are one list to scroll and to filter.
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // Its validator is another host.
  validatorUrl: null,
});
