ALTER TABLE "signing_keys" ADD COLUMN "state" text DEFAULT 'active' NOT NULL;--> statement-breakpoint
ALTER TABLE "signing_keys" ADD COLUMN "signs_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "signing_keys" ADD COLUMN "verifies_until" timestamp (3) with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "signing_keys_one_spare" ON "signing_keys" USING btree ((true)) WHERE "signing_keys"."state" = 'spare';
