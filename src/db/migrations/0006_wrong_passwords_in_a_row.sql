CREATE TABLE "wrong_passwords" (
	"account" text PRIMARY KEY NOT NULL,
	"attempts" integer NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "wrong_passwords_by_end" ON "wrong_passwords" USING btree ("ends_at");