package intent

import (
	"errors"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/spec"
)

func TestSpecHasBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(a *spec.App)
		want   string // of the message; empty: none
	}{
		{"takes a job with a schedule", func(a *spec.App) {
			a.Services = append(a.Services, spec.Service{Name: "nightly", Type: spec.Job, CPU: "100m", Memory: "128Mi", Schedule: spec.Schedule{Cron: "0 3 * * *", Timezone: "Europe/Rome"}})
		}, ""},
		{"takes what is as it was before there were more keys", func(*spec.App) {}, ""},
		{"refuses a schedule that never comes", func(a *spec.App) { a.Services[0].Schedule.Cron = "0 3 31 2 *" }, `service "web": schedule: "0 3 31 2 *" never comes`},
		{"refuses a volume over the system", func(a *spec.App) { a.Services[0].Volumes = []spec.Volume{{Name: "a", Path: "/dev"}} }, "belongs to the system"},
		{"refuses a literal secret", func(a *spec.App) { a.Services[0].Secrets = map[string]string{"A": "hunter2"} }, "want a reference"},
		{"refuses a predeploy of nothing", func(a *spec.App) { a.Predeploy = &spec.Task{CPU: "100m", Memory: "128Mi"} }, "predeploy: there is nothing to run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := push()
			c.change(s.Predicate.Spec)
			switch err := s.validate(); {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want none", err)
			case c.want != "" && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("got %v, which repeats a secret", err)
			}
		})
	}
}

func TestConfigIsAFileOfTheRepository(t *testing.T) {
	t.Parallel()
	many := map[string]int{}
	for i := range 201 {
		many["services.s"+strings.Repeat("x", i)] = 1
	}
	for name, c := range map[string]struct {
		kind   Kind
		config Config
		want   string // of the message; empty: none
	}{
		"without lines":            {Deploy, Config{Path: "inhaul.yaml"}, ""},
		"in a folder":              {Deploy, Config{Path: "services/shop/inhaul.yaml", Lines: map[string]int{"services.web.port": 12, "secrets.API_KEY": 100_000}}, ""},
		"of a rollback":            {Rollback, Config{Path: "inhaul.yaml"}, "kind rollback has none"},
		"no path":                  {Deploy, Config{}, "is not that of a file"},
		"the repository itself":    {Deploy, Config{Path: "."}, "is not that of a file"},
		"outside":                  {Deploy, Config{Path: "../inhaul.yaml"}, "is not that of a file"},
		"from the root":            {Deploy, Config{Path: "/etc/inhaul.yaml"}, "is not that of a file"},
		"not clean":                {Deploy, Config{Path: "a//inhaul.yaml"}, "is not that of a file"},
		"with a line break":        {Deploy, Config{Path: "a\ninhaul.yaml"}, "is not that of a file"},
		"with a backslash":         {Deploy, Config{Path: `a\inhaul.yaml`}, "is not that of a file"},
		"long":                     {Deploy, Config{Path: strings.Repeat("a", 1025)}, "is not that of a file"},
		"too many lines":           {Deploy, Config{Path: "inhaul.yaml", Lines: many}, "got 201 lines, want at most 200"},
		"line 0":                   {Deploy, Config{Path: "inhaul.yaml", Lines: map[string]int{"services": 0}}, "line of services is 0"},
		"a line below all":         {Deploy, Config{Path: "inhaul.yaml", Lines: map[string]int{"services": 100_001}}, "line of services is 100001"},
		"a setting with markup":    {Deploy, Config{Path: "inhaul.yaml", Lines: map[string]int{"services.<b>": 1}}, "is not a path"},
		"a setting without a name": {Deploy, Config{Path: "inhaul.yaml", Lines: map[string]int{"services..port": 1}}, "is not a path"},
		"a long setting":           {Deploy, Config{Path: "inhaul.yaml", Lines: map[string]int{strings.Repeat("a", 321): 1}}, "is not a path"},
	} {
		p := push().Predicate
		p.Kind, p.Config = c.kind, &c.config
		switch err := p.validateConfig(); {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want none", name, err)
		case c.want != "" && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
