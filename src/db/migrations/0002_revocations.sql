CREATE TABLE "revocation_logs" (
	"number" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "revocation_logs_number_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"id" uuid NOT NULL,
	"marked" bigint DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "revocation_tail" (
	"is_only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"holder" uuid NOT NULL,
	"held_until" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "revocations" (
	"position" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "revocations_position_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"scope" text NOT NULL,
	"id" text NOT NULL,
	"subject" uuid,
	"issued_before" timestamp (3) with time zone,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"reason" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "revocations_by_end" ON "revocations" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "revocations_by_id" ON "revocations" USING btree ("id");--> statement-breakpoint
INSERT INTO "revocation_logs" ("id", "created_at") VALUES (gen_random_uuid(), clock_timestamp());--> statement-breakpoint
INSERT INTO "revocation_tail" ("holder", "held_until") VALUES (gen_random_uuid(), 'epoch');
