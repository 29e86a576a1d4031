// Written by hand around the client of openapi-generator for Go.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/antihax/optional"
	signout "signout"
)

func main() {
	address, username, password := os.Args[1], os.Args[2], os.Args[3]
	configuration := signout.NewConfiguration()
	configuration.BasePath = address
	client := signout.NewAPIClient(configuration)
	open := context.Background()
	pair, _, err := client.AuthApi.Login(open, signout.Credentials{Username: username, Password: password}, nil)
	check(err)
	signedIn := context.WithValue(open, signout.ContextAccessToken, pair.AccessToken)
	me, _, err := client.MeApi.GetMe(signedIn)
	check(err)
	expect(me.Username == username && me.Role == "user", "It is another user.")
	first, _, err := client.MeApi.ListSecurityEvents(signedIn, &signout.ListSecurityEventsOpts{Limit: optional.NewInt32(1)})
	check(err)
	expect(first.NextCursor != nil, "There is no second page.")
	second, _, err := client.MeApi.ListSecurityEvents(signedIn, &signout.ListSecurityEventsOpts{
		Limit: optional.NewInt32(1), Cursor: optional.NewString(*first.NextCursor),
	})
	check(err)
	expect(second.Events[0].Id != first.Events[0].Id, "The second page is the first one.")
	next, _, err := client.AuthApi.Refresh(open, &signout.RefreshOpts{
		RefreshInput: optional.NewInterface(signout.RefreshInput{RefreshToken: pair.RefreshToken}),
	})
	check(err)
	renewed := context.WithValue(open, signout.ContextAccessToken, next.AccessToken)
	_, _, err = client.AuthApi.Logout(renewed, nil)
	check(err)
	_, answer, err := client.MeApi.GetMe(renewed)
	refused, isApiError := err.(signout.GenericOpenAPIError)
	expect(isApiError && answer.StatusCode == 401, "The token is accepted after the logout.")
	expect(strings.Contains(string(refused.Body()), "token_revoked"), string(refused.Body()))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(isTrue bool, otherwise string) {
	if !isTrue {
		panic(otherwise)
	}
}
