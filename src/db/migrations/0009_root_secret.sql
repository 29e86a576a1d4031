CREATE TABLE "root_secrets" (
	"is_only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"encrypted" text NOT NULL
);
