package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shop is an app that says something of everything.
func shop() App {
	return App{
		Name: "shop",
		Services: []Service{
			{
				Name: "nightly", Type: Job, Run: Command{Shell: "bin/report"}, CPU: "100m", Memory: "256Mi",
				Schedule: Schedule{Cron: "0 3 * * *", Timezone: "Europe/Rome", Overlap: Replace, Deadline: "1h", Retries: 2, History: 5},
			},
			{
				Name: "web", Type: Web, Run: Command{Exec: []string{"node", "web.js"}}, Port: 8080, Replicas: 2, CPU: "250m", Memory: "512Mi",
				Health: Health{
					Check: Check{Path: "/healthz", TCP: true, Command: Command{Shell: "bin/ok"}}, Timeout: "2m", Startup: "60s",
					Liveness: Check{Path: "/live", TCP: true, Command: Command{Exec: []string{"bin/live"}}},
				},
				Env:     map[string]string{"GREETING": "hello", "EMPTY": ""},
				Secrets: map[string]string{"DATABASE_URL": "k8s://shop#DATABASE_URL"},
				Scale:   Scale{Min: 2, Max: 10, CPU: 70, Memory: 80, Queue: Queue{Type: "redis", Name: "jobs", From: "REDIS_URL", Length: 10}},
				Grace:   "30s", Domains: []string{"shop.example.com", "www.example.com"}, Paths: []string{"/api"},
				Volumes:   []Volume{{Name: "cache", Path: "/cache", Size: "1Gi"}, {Name: "data", Path: "/data", Claim: "shop-data"}},
				AllowFrom: []string{"billing"},
			},
		},
		Predeploy: &Task{
			Run: Command{Shell: "bin/migrate"}, CPU: "100m", Memory: "256Mi", Timeout: "5m", OnRollback: true,
			Env: map[string]string{"GREETING": "hello"}, Secrets: map[string]string{"DATABASE_URL": "k8s://shop#DATABASE_URL"},
		},
		Databases:  []Database{{Name: "main", Type: "postgres", Version: "17", Env: "DATABASE_URL"}},
		Seed:       &Task{Run: Command{Shell: "bin/seed"}, CPU: "100m", Memory: "256Mi"},
		Teardown:   &Task{Run: Command{Shell: "bin/cleanup"}, CPU: "100m", Memory: "256Mi"},
		KeepFailed: true,
		Buildpacks: true,
		ImageUser:  "1000",
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	web := func(change func(s *Service)) func(*App) {
		return func(a *App) { change(&a.Services[1]) }
	}
	for _, c := range []struct {
		name   string
		change func(a *App)
		want   []Change
	}{
		{"says nothing of what is the same", func(*App) {}, nil},
		{"says how many pods a scaled service has at least and at most", web(func(s *Service) { s.Replicas, s.Scale.Min, s.Scale.Max = 3, 3, 20 }), []Change{
			{"services.web.scale.min", "2", "3", Changed},
			{"services.web.scale.max", "10", "20", Changed},
		}},
		{"says that a scale gives way to replicas", web(func(s *Service) { s.Replicas, s.Scale = 2, Scale{} }), []Change{
			{"services.web.replicas", "", "2", Added},
			{"services.web.scale.min", "2", "", Removed},
			{"services.web.scale.max", "10", "", Removed},
			{"services.web.scale.cpu", "70", "", Removed},
			{"services.web.scale.memory", "80", "", Removed},
			{"services.web.scale.queue.type", "redis", "", Removed},
			{"services.web.scale.queue.name", "jobs", "", Removed},
			{"services.web.scale.queue.from", "REDIS_URL", "", Removed},
			{"services.web.scale.queue.length", "10", "", Removed},
		}},
		{"calls zero replicas by their number", web(func(s *Service) { s.Scale.Min, s.Replicas = 0, 0 }), []Change{
			{"services.web.scale.min", "2", "", Removed},
		}},
		{"tells a variable that is empty from one that is gone", web(func(s *Service) { s.Env = map[string]string{"GREETING": ""} }), []Change{
			{"services.web.env.EMPTY", "", "", Removed},
			{"services.web.env.GREETING", "hello", "", Changed},
		}},
		{"lists variables by name", web(func(s *Service) { s.Env = map[string]string{"A": "1", "GREETING": "hello", "Z": "2"} }), []Change{
			{"services.web.env.A", "", "1", Added},
			{"services.web.env.EMPTY", "", "", Removed},
			{"services.web.env.Z", "", "2", Added},
		}},
		{"shows where a secret is kept", web(func(s *Service) { s.Secrets["DATABASE_URL"] = "aws-sm://shop#url" }), []Change{
			{"services.web.secrets.DATABASE_URL", "k8s://shop#DATABASE_URL", "aws-sm://shop#url", Changed},
		}},
		{"tells domains one by one", web(func(s *Service) { s.Domains = []string{"www.example.com", "new.example.com"} }), []Change{
			{"services.web.domains", "shop.example.com", "", Removed},
			{"services.web.domains", "", "new.example.com", Added},
		}},
		{"tells another order of domains", web(func(s *Service) { s.Domains = []string{"www.example.com", "shop.example.com"} }), []Change{
			{"services.web.domains", "shop.example.com, www.example.com", "www.example.com, shop.example.com", Changed},
		}},
		{"says that a service is closed to the world", web(func(s *Service) { s.Private = true }), []Change{
			{"services.web.public", "true", "false", Changed},
		}},
		{"tells a list from a string that looks like one", web(func(s *Service) { s.Run = Command{Shell: `["node", "web.js"]`} }), []Change{
			{"services.web.run", `["node", "web.js"]`, `"[\"node\", \"web.js\"]"`, Changed},
		}},
		{"lists volumes by name", web(func(s *Service) {
			s.Volumes = []Volume{{Name: "data", Path: "/var/data", Claim: "shop-data"}, {Name: "tmp", Path: "/tmp"}}
		}), []Change{
			{"services.web.volumes.cache.path", "/cache", "", Removed},
			{"services.web.volumes.cache.size", "1Gi", "", Removed},
			{"services.web.volumes.data.path", "/data", "/var/data", Changed},
			{"services.web.volumes.tmp.path", "", "/tmp", Added},
		}},
		{"calls a job without a schedule manual", func(a *App) { a.Services[0].Schedule = Schedule{} }, []Change{
			{"services.nightly.schedule", "0 3 * * *", "manual", Changed},
			{"services.nightly.timezone", "Europe/Rome", "", Removed},
			{"services.nightly.overlap", "replace", "", Removed},
			{"services.nightly.deadline", "1h", "", Removed},
			{"services.nightly.retries", "2", "", Removed},
			{"services.nightly.history", "5", "", Removed},
		}},
		{"lists all that a new service says, in the order of names", func(a *App) {
			a.Services = append([]Service{{Name: "mailer", Type: Worker, Replicas: 1, CPU: "100m", Memory: "128Mi", Env: map[string]string{"A": "1"}}}, a.Services...)
		}, []Change{
			{"services.mailer", "", "worker", Added},
			{"services.mailer.replicas", "", "1", Added},
			{"services.mailer.cpu", "", "100m", Added},
			{"services.mailer.memory", "", "128Mi", Added},
			{"services.mailer.env.A", "", "1", Added},
		}},
		{"says that a service is of another type", func(a *App) { a.Services[0].Type = Worker }, []Change{
			{"services.nightly.type", "job", "worker", Changed},
			{"services.nightly.replicas", "", "0", Added},
		}},
		{"says what runs before a release", func(a *App) { a.Predeploy.Run = Command{Shell: "bin/other"} }, []Change{
			{"predeploy.run", "bin/migrate", "bin/other", Changed},
		}},
		{"lists all of a task that is gone", func(a *App) { a.Seed, a.Databases = nil, nil }, []Change{
			{"databases.main", "postgres", "", Removed},
			{"databases.main.env", "DATABASE_URL", "", Removed},
			{"databases.main.version", "17", "", Removed},
			{"seed", "bin/seed", "", Removed},
			{"seed.cpu", "100m", "", Removed},
			{"seed.memory", "256Mi", "", Removed},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changed := shop()
			c.change(&changed)
			if diff := cmp.Diff(c.want, Diff(shop(), changed)); diff != "" {
				t.Errorf("other changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiffShortensLongValuesAroundTheirDifference(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 100)
	for _, c := range []struct{ name, old, new, wantOld, wantNew string }{
		{"short", "a", "b", "a", "b"},
		{"at the end", long + "a", long + "b", "…" + strings.Repeat("é", 20) + "a", "…" + strings.Repeat("é", 20) + "b"},
		{"at the beginning", "a" + long, "b" + long, "a" + strings.Repeat("é", 59) + "…", "b" + strings.Repeat("é", 59) + "…"},
		{"one is the other's beginning", long, long + "b", "…" + strings.Repeat("é", 20), "…" + strings.Repeat("é", 20) + "b"},
		{"from nothing", "", long, "", strings.Repeat("é", 60) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			with := func(value string) App {
				return App{Services: []Service{{Name: "web", Type: Web, Env: map[string]string{"K": value}}}}
			}
			want := []Change{{"services.web.env.K", c.wantOld, c.wantNew, Changed}}
			if diff := cmp.Diff(want, Diff(with(c.old), with(c.new))); diff != "" {
				t.Errorf("other changes (-want +got):\n%s", diff)
			}
		})
	}
}
