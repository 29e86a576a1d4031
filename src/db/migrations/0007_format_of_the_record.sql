-- The tables get new names, so that no projector of the release before can move a marker any more.
ALTER TABLE "revocation_logs" RENAME TO "records";--> statement-breakpoint
ALTER SEQUENCE "revocation_logs_number_seq" RENAME TO "records_number_seq";--> statement-breakpoint
ALTER TABLE "revocation_tail" RENAME TO "projector_lease";--> statement-breakpoint
ALTER TABLE "records" ADD COLUMN "format" integer;--> statement-breakpoint
UPDATE "records" SET "format" = 2;--> statement-breakpoint
ALTER TABLE "records" ALTER COLUMN "format" SET NOT NULL;--> statement-breakpoint
CREATE INDEX "revocations_of_everyone" ON "revocations" USING btree ("issued_before") WHERE "revocations"."scope" = 'everyone';
