ALTER TABLE "sessions" ADD COLUMN "used_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "spent_refresh_tokens" ADD COLUMN "successor_hash" "bytea";--> statement-breakpoint
ALTER TABLE "spent_refresh_tokens" ADD COLUMN "spent_at" timestamp (3) with time zone;