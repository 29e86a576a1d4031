-- In a database with a Turkish locale, accounts could have the same username but for the case of an I. All of them stay. The
-- name stays with the account that could sign in, or else with the oldest one. The others get their id behind it.
LOCK TABLE "users" IN SHARE ROW EXCLUSIVE MODE;--> statement-breakpoint
UPDATE "users" SET "username" = left("username", 217) || '.' || "id"
	WHERE lower("username") <> lower("username" collate "C") AND EXISTS (SELECT FROM "users" AS "other"
		WHERE lower("other"."username" collate "C") = lower("users"."username" collate "C") AND "other"."id" <> "users"."id"
		AND (lower("other"."username") = lower("other"."username" collate "C") OR ("other"."created_at", "other"."id") < ("users"."created_at", "users"."id")));--> statement-breakpoint
CREATE UNIQUE INDEX "users_username_folded" ON "users" USING btree (lower("username" collate "C"));
