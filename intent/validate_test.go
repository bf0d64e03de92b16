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
