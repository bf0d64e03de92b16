package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/cli"
)

// menagerie is a fake: previews in a cluster, of which a second after somebody asked for
// it shop's pr-7 wakes, and a second later is awake.
type menagerie struct {
	live
	quotas objects
	woken  map[string]any // what was applied
	at     time.Time      // when that was
	refuse error
	stuck  bool // it never wakes
}

func (s *menagerie) Previews(_ context.Context, namespace, token string) ([]byte, error) {
	if namespace != "inhaul" {
		return nil, cli.ErrForbidden
	}
	if token == "" {
		return []byte(`{"metadata": {"continue": "1"}, "items": [
			{"metadata": {"name": "shop-pr-12", "uid": "u12"}, "spec": {"app": "shop", "pullRequest": 12}, "status": {"phase": "Active", "namespace": "shop-pr-12", "createdAt": "1999-12-31T23:00:00.000001Z", "lastPushAt": "1999-12-31T23:55:00Z"}},
			{"metadata": {"name": "shop-pr-9", "uid": "u9"}, "spec": {"app": "shop", "pullRequest": 9}, "status": {"phase": "Destroyed", "namespace": "shop-pr-9"}},
			{"metadata": {"name": "shop-pr-10", "uid": "u10"}, "spec": {"app": "shop", "pullRequest": 10}, "status": {"phase": "Destroying", "namespace": "shop-pr-10", "message": "a finalizer"}},
			{"metadata": {"name": "shop-pr-11", "uid": "u11"}, "spec": {"app": "shop", "pullRequest": 11}, "status": {"phase": "Destroyed", "waiting": {"release": {}}}}]}`), nil
	}
	state := `"asleepAt": "1999-12-31T23:30:00Z"`
	if past := time.Since(s.at); !s.at.IsZero() && !s.stuck {
		state = `"turning": true`
		if past >= 2*time.Second {
			state = `"activeAt": "2000-01-01T00:00:00Z"`
		}
	}
	return fmt.Appendf(nil, `{"items": [
		{"metadata": {"name": "mail-pr-12", "uid": "m12"}, "spec": {"app": "mail", "pullRequest": 12}, "status": {"phase": "Active", "namespace": "mail-pr-12"}},
		{"metadata": {"name": "shop-pr-7", "uid": "u7"}, "spec": {"app": "shop", "pullRequest": 7}, "status": {"phase": "Active", "namespace": "shop-pr-7", "createdAt": "1999-12-30T00:00:00Z", "lastPushAt": "1999-12-31T15:00:00Z", %s}}]}`, state), nil
}

func (s *menagerie) Wake(_ context.Context, _, name string, preview []byte) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.at = time.Now()
	if err := json.Unmarshal(preview, &s.woken); err != nil || !strings.Contains(string(preview), name) {
		return errors.New("not that preview")
	}
	return nil
}

func (s *menagerie) Quota(_ context.Context, namespace, name string) ([]byte, error) {
	return s.quotas.get(namespace + "/" + name)
}

// previews runs a command with that cluster.
func previews(t *testing.T, s *menagerie, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	s.objects = objects{"inhaul/apps/shop": `{"spec": {"previews": {"group": "preview", "host": "pr-{number}.{app}.{group}.example.com"}}}`}
	s.pages = []string{page("", strings.ReplaceAll(listed(3, "Succeeded"), "production", "pr-7"))}
	s.quotas = objects{"shop-pr-7/inhaul-preview": `{"status": {"used": {"requests.cpu": "300m", "requests.memory": "768Mi"}}}`, "shop-pr-12/inhaul-preview": ""}
	var out, complaint strings.Builder
	code = cli.Commands{
		Stdout: &out, Stderr: &complaint, Now: time.Now,
		Connect: func(cli.Connection) (cli.Cluster, error) {
			return cli.Cluster{Releases: s, Log: s, PreviewLog: s, Quotas: s}, nil
		},
	}.Run(t.Context(), args)
	return code, out.String(), complaint.String()
}

func TestPreviews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		code, stdout, stderr := previews(t, &menagerie{}, "previews")
		want := `APP   PREVIEW  PHASE    AGE  PUSHED  OWNER    CPU   MEMORY  URL
mail  pr-12    awake    -    -       -        -     -       -
shop  pr-7     asleep   2d   9h      octocat  300m  768Mi   https://pr-7.shop.preview.example.com
shop  pr-10    ending   -    -       -        -     -       https://pr-10.shop.preview.example.com
shop  pr-11    waiting  -    -       -        -     -       https://pr-11.shop.preview.example.com
shop  pr-12    awake    59m  5m      -        -     -       https://pr-12.shop.preview.example.com
`
		if diff := cmp.Diff(want, stdout); code != 0 || stderr != "" || diff != "" {
			t.Errorf("got code %d, %s (-want +got):\n%s", code, stderr, diff)
		}
		code, stdout, _ = previews(t, &menagerie{}, "previews", "--app", "shop", "--json")
		var all []map[string]any
		if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != 0 || len(all) != 4 {
			t.Fatalf("got code %d, %v and %s, want 4 previews", code, err, stdout)
		}
		if p := all[0]; p["preview"] != "pr-7" || p["phase"] != "asleep" || p["cpu"] != "300m" || p["owner"] != "octocat" || p["asleepAt"] != "1999-12-31T23:30:00Z" {
			t.Errorf("got %v", p)
		}
		if code, stdout, _ = previews(t, &menagerie{}, "previews", "--app", "none", "--json"); code != 0 || stdout != "[]\n" {
			t.Errorf("got code %d and %q, want an empty array", code, stdout)
		}
	})
}

func TestWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &menagerie{}
		code, stdout, stderr := previews(t, s, "wake", "pr-7")
		if want := "asked for pr-7 of shop to be awake\nawake: pr-7 of shop, 2s after you asked\n"; code != 0 || stdout != want || stderr != "" {
			t.Errorf("got code %d, %q and %q, want %q", code, stdout, stderr, want)
		}
		want := map[string]any{
			"apiVersion": "inhaul.dev/v1alpha1", "kind": "Preview", "metadata": map[string]any{
				"name": "shop-pr-7", "namespace": "inhaul", "uid": "u7", "annotations": map[string]any{"inhaul.dev/wake": "2000-01-01T00:00:00Z"},
			},
		}
		if diff := cmp.Diff(want, s.woken); diff != "" {
			t.Errorf("applied (-want +got):\n%s", diff)
		}
	})
}

func TestWakeThatDoesNotWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		menagerie *menagerie
		args      []string
		code      int
		stdout    string
		stderr    string
	}{
		"does not wait":          {&menagerie{}, []string{"pr-7", "--no-wait"}, 0, "asked for pr-7 of shop to be awake\n", ""},
		"is awake already":       {&menagerie{}, []string{"pr-12", "--app", "mail"}, 0, "pr-12 of mail is awake, and stays so for now\n", ""},
		"says which app":         {&menagerie{}, []string{"pr-12"}, 1, "", "say which: --app NAME"},
		"is no preview":          {&menagerie{}, []string{"production"}, 1, "", `the preview is "production", want pr-N`},
		"is gone":                {&menagerie{}, []string{"pr-9"}, 1, "", "there is no preview pr-9"},
		"is going":               {&menagerie{}, []string{"pr-10"}, 1, "", "it is being taken away"},
		"waits for room":         {&menagerie{}, []string{"pr-11"}, 1, "", "there is no room for it"},
		"may not":                {&menagerie{refuse: cli.ErrForbidden}, []string{"pr-7"}, 1, "", "bind the ClusterRole inhaul-wake to you in namespace inhaul"},
		"was made anew":          {&menagerie{refuse: cli.ErrRefused}, []string{"pr-7"}, 1, "", "look again: inhaul previews"},
		"does not wake in time":  {&menagerie{stuck: true}, []string{"pr-7", "--timeout", "30s"}, 1, "", "not awake after 30s"},
		"may not see":            {&menagerie{}, []string{"pr-7", "--namespace", "other"}, 1, "", "the cluster does not show previews in namespace other"},
		"meets a broken cluster": {&menagerie{refuse: errors.New("connection refused")}, []string{"pr-7"}, 2, "", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				code, stdout, stderr := previews(t, test.menagerie, append([]string{"wake"}, test.args...)...)
				if code != test.code || test.code == 0 && stdout != test.stdout || !strings.Contains(stderr, test.stderr) {
					t.Errorf("got code %d, %q and %q; want %d, %q and %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
				}
			})
		})
	}
}
