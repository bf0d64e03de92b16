package spec

import "testing"

func TestPlaceholdersAreNoCredentials(t *testing.T) {
	t.Parallel()
	check := Credentials()
	for value, want := range map[string]bool{
		"postgres://${self:custom.dbUser}:${self:custom.dbPassword}@${self:custom.dbHost}:5432/app": false,
		"mongodb+srv://${env:MONGO_USER}:${env:MONGO_PASSWORD}@cluster0.example.net":                false,
		"postgres://{{resolve:secretsmanager:db:user}}:{{resolve:secretsmanager:db:pass}}@h/x":      false,
		"mongodb+srv://<username>:<password>@cluster0.example.net":                                  false,
		"https://example.com:8443/a@b":                                              false,
		"postgres://shop:hunter2@db.example.com/shop":                               true,
		"postgres://${USER}:hunter2@db.example.com/shop":                            true,
		"redis://:hunter2@cache.example.com":                                        true,
		"https://hooks.slack.com/services/" + "T0AAAA/B0AAAA/" + "abcdefghijklmnop": true,
	} {
		if _, found := check(value); found != want {
			t.Errorf("%s: got %v, want %v", value, found, want)
		}
	}
}
