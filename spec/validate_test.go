package spec

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := shop().Validate(); err == nil || !strings.Contains(err.Error(), "path") {
		t.Errorf("got %v, want a refusal of a check that asks in three ways", err)
	}
	service := func(change func(s *Service)) func(*App) {
		return func(a *App) { change(&a.Services[1]) }
	}
	for _, c := range []struct {
		name   string
		change func(a *App)
		want   string
	}{
		{"takes an app that says something of everything", func(*App) {}, ""},
		{"refuses a user", func(a *App) { a.ImageUser = "a b" }, `imageUser "a b" is no user`},
		{"refuses a literal secret and does not repeat it", service(func(s *Service) { s.Secrets["A"] = "hunter2" }), `service "web": secret "A": want a reference to where the secret is kept: ` + referenceForms},
		{"refuses a secret's variable", service(func(s *Service) { s.Secrets = map[string]string{"A-B": "k8s://a#b"} }), `service "web": secret "A-B": want a name of letters, digits and _, no digit first, got "A-B"`},
		{"refuses a grace of a day", service(func(s *Service) { s.Grace = "24h" }), `service "web": grace: want 1s to 2h, got "24h"`},
		{"refuses a negative grace", service(func(s *Service) { s.Grace = "-1s" }), `service "web": grace: want 1s to 2h, got "-1s"`},
		{"refuses a startup", service(func(s *Service) { s.Health.Startup = "soon" }), `service "web": startup: want 1s to 1h, got "soon"`},
		{"refuses two checks", service(func(s *Service) { s.Health.Liveness.TCP = true }), `service "web": health: want at most one of path, tcp and command, got 2`},
		{"refuses a liveness path", service(func(s *Service) { s.Health.Liveness.Path = "live" }), `service "web": liveness path: want a URL path such as /healthz, got "live"`},
		{"refuses too many pods", service(func(s *Service) { s.Scale.Max = 1001 }), `service "web": scale max: want 1 to 1000, got 1001`},
		{"refuses more at least than at most", service(func(s *Service) { s.Scale.Min = 11 }), `service "web": scale min: want 0 to 10, got 11`},
		{"refuses a scale without max", service(func(s *Service) { s.Scale.Min, s.Scale.Max = 0, 0 }), `service "web": scale max: want 1 to 1000, got 0`},
		{"refuses a kind of queue", service(func(s *Service) { s.Scale.Queue.Type = "kafka" }), `service "web": queue type: got unknown "kafka"`},
		{"refuses a domain", service(func(s *Service) { s.Domains = []string{"localhost"} }), `service "web": domains: want a host name such as shop.example.com, got "localhost"`},
		{"refuses a domain in other letters", service(func(s *Service) { s.Domains = []string{"A.example.com"} }), `service "web": domains: want "a.example.com", got "A.example.com"`},
		{"refuses a prefix", service(func(s *Service) { s.Paths = []string{"api"} }), `service "web": paths: want a URL prefix such as /api, got "api"`},
		{"refuses a volume over the system", service(func(s *Service) { s.Volumes[0].Path = "/proc" }), `service "web": volume "cache": path: "/proc" belongs to the system, want another path`},
		{"refuses a volume that goes around", service(func(s *Service) { s.Volumes[0].Path = "/a/../proc" }), `service "web": volume "cache": path: "/proc" belongs to the system, want another path`},
		{"refuses a volume without unit", service(func(s *Service) { s.Volumes[0].Size = "10" }), `service "web": volume "cache": size: want 4Mi to 4Ti, got 10 bytes (did you mean 10Mi?)`},
		{"refuses a volume of both kinds", service(func(s *Service) { s.Volumes[0].Claim = "a" }), `service "web": volume "cache": want a size or a claim, got both`},
		{"refuses a claim", service(func(s *Service) { s.Volumes[1].Claim = "../a" }), `service "web": volume "data": claim: want the name of a PersistentVolumeClaim, got "../a"`},
		{"refuses a volume's name", service(func(s *Service) { s.Volumes[0].Name = "A" }), `service "web": volume "A": name: want lower-case letters, digits and inner hyphens, a letter first, got "A"`},
		{"refuses an app to allow", service(func(s *Service) { s.AllowFrom = []string{""} }), `service "web": allowFrom: want lower-case letters, digits and inner hyphens, a letter first, got ""`},
		{"refuses a schedule", func(a *App) { a.Services[0].Schedule.Cron = "@daily" }, `service "nightly": schedule: want "0 0 * * *", got "@daily"`},
		{"refuses a time zone", func(a *App) { a.Services[0].Schedule.Timezone = "../etc" }, `service "nightly": timezone: want ^[A-Za-z][A-Za-z0-9_+/-]{0,63}$, got "../etc"`},
		{"refuses an overlap", func(a *App) { a.Services[0].Schedule.Overlap = "maybe" }, `service "nightly": overlap: got unknown "maybe"`},
		{"refuses retries", func(a *App) { a.Services[0].Schedule.Retries = -1 }, `service "nightly": retries: want 0 to 10, got -1`},
		{"refuses a predeploy of nothing", func(a *App) { a.Predeploy.Run = Command{} }, `predeploy: there is nothing to run`},
		{"refuses a seed's memory", func(a *App) { a.Seed.Memory = "5Ti" }, `seed: memory: want 4Mi to 4Ti, got "5Ti"`},
		{"refuses a teardown's timeout", func(a *App) { a.Teardown.Timeout = "7h" }, `teardown: timeout: want 1s to 6h, got "7h"`},
		{"refuses a kind of database", func(a *App) { a.Databases[0].Type = "mysql" }, `database "main": type: got unknown "mysql"`},
		{"refuses a database's variable", func(a *App) { a.Databases[0].Env = "" }, `database "main": env: want a name of letters, digits and _, no digit first, got ""`},
		{"refuses a database's version", func(a *App) { a.Databases[0].Version = "17; rm" }, `database "main": version: want ^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$, got "17; rm"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app := shop()
			app.Services[1].Health = Health{Check: Check{Path: "/healthz"}, Liveness: Check{Path: "/live"}}
			c.change(&app)
			got := ""
			if err := app.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}
