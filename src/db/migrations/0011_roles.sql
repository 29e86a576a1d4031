CREATE TABLE "roles" (
	"name" text PRIMARY KEY NOT NULL,
	"scope" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
INSERT INTO "roles" ("name", "scope", "changed_at") VALUES ('admin', 'admin', 'epoch'), ('user', 'user', 'epoch');
