package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// rollbackCommand is `inhaul rollback`.
type rollbackCommand struct {
	App         string        `arg:"" help:"The app."`
	Environment string        `short:"e" default:"production" placeholder:"NAME" help:"The environment (default production)."`
	To          string        `default:"previous" placeholder:"previous|N|COMMIT" help:"What to bring back: what ran before (the default), a release by its number, or the newest of a commit."`
	Reason      string        `placeholder:"TEXT" help:"Why, for the record and the check, which whoever sees the repository can read; at most 512 characters."`
	Wait        bool          `negatable:"" default:"true" help:"Wait for the verdict (the default)."`
	Timeout     time.Duration `default:"5m" placeholder:"DURATION" help:"How long to wait (default 5m)."`

	Cluster Connection `embed:""`
}

// Help is shown by --help.
func (rollbackCommand) Help() string {
	return `Straight on the cluster: neither GitHub nor the registry is asked, as long as the image is on a
node. The app's configuration of that release comes back too. What was pushed before and is still
being built does not undo it; the next push does.

Kubernetes decides who may: the ClusterRole inhaul-rollback, bound in the namespace of the
environment. Who asked is recorded under the name by which the API server knows you. The check on
the commit shows that name and the reason: of a public repository, to everybody.

Examples:

    inhaul rollback shop
    inhaul rollback shop --environment staging --to 12 --reason "checkout is broken"
    inhaul releases shop

Exit codes: 0 it is live; 1 it is not, or is yours to mend; 2 ours, or the network's.`
}

const (
	maxReason      = 512                    // characters; as many as a Rollback's schema holds
	shortestCommit = 7                      // digits; release numbers have fewer
	pollInterval   = 200 * time.Millisecond // between two looks: a rollback takes seconds
)

// targetShape is what --to may be: a commit has as many digits as git shows.
var targetShape = regexp.MustCompile(`\A(?:previous|[1-9][0-9]{0,5}|[0-9a-f]{7,40})\z`)

// Run asks for a rollback and waits for its verdict.
func (o rollbackCommand) Run(ctx context.Context, c Commands) error {
	if err := o.check(); err != nil {
		return err
	}
	cluster, err := c.connect(o.Cluster)
	if err != nil {
		return err
	}
	w := watch{Commands: c, cluster: cluster, options: o}
	if err := w.ask(ctx); err != nil {
		return err
	}
	if !o.Wait {
		return w.say("not waiting; inhaul releases %s --environment %s%s shows what comes of it\n", o.App, o.Environment, o.flags(c))
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := w.answered(ctx); err != nil {
		return err
	}
	return w.verdict(ctx)
}

// check refuses what kong cannot know to be wrong.
func (o rollbackCommand) check() error {
	const misunderstood = "the command line is not understood"
	switch {
	case !targetShape.MatchString(o.To):
		return &fault{what: misunderstood, why: fmt.Sprintf("--to is %q, want previous, a release number, or 7 to 40 lower-case hex digits of a commit", o.To), next: "inhaul releases " + o.App + " lists what there is"}
	case utf8.RuneCountInString(o.Reason) > maxReason:
		return &fault{what: misunderstood, why: fmt.Sprintf("--reason has %d characters, want at most %d", utf8.RuneCountInString(o.Reason), maxReason), next: "say it shorter"}
	case o.Timeout <= 0:
		return &fault{what: misunderstood, why: fmt.Sprintf("--timeout is %s, want more than nothing", o.Timeout), next: "--no-wait does not wait"}
	}
	return nil
}

// flags are those by which another command finds the same cluster, and in it the agent.
func (o rollbackCommand) flags(c Commands) string {
	if o.Cluster.Namespace == c.agentNamespace() {
		return o.clusterFlags()
	}
	return o.clusterFlags() + " --namespace " + shellWord(o.Cluster.Namespace)
}

// clusterFlags are those that kubectl knows too.
func (o rollbackCommand) clusterFlags() string {
	var flags strings.Builder
	for _, f := range []struct{ name, value string }{{"kubeconfig", o.Cluster.Kubeconfig}, {"context", o.Cluster.Context}} {
		if f.value != "" {
			fmt.Fprintf(&flags, " --%s %s", f.name, shellWord(f.value))
		}
	}
	return flags.String()
}

// plainWord is what a shell leaves as it is.
var plainWord = regexp.MustCompile(`\A[A-Za-z0-9_./:@%+=,-]+\z`)

// shellWord is text as one word of a shell.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// watch is one rollback, from asking to its verdict.
type watch struct {
	Commands
	cluster Cluster
	options rollbackCommand

	place   place
	before  int // release that served when it was asked for; 0: none
	name    string
	asked   time.Time
	release int // that came of it; 0: not yet
	told    string
}

func (w *watch) say(format string, args ...any) error {
	_, err := fmt.Fprintf(w.Stdout, format, args...)
	return err
}

// ask makes the Rollback.
func (w *watch) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	o := w.options
	var err error
	if w.place, err = w.cluster.find(ctx, o.App, o.Environment, o.Cluster.Namespace); err != nil {
		return err
	}
	records, err := w.cluster.records(ctx, w.place)
	if err != nil {
		return err
	}
	w.before = serving(records)
	user, err := w.cluster.user(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(rollbackObject(w.place, o, user))
	if err != nil {
		return err
	}
	w.asked = w.Now()
	data, err := w.cluster.Rollbacks.Ask(ctx, w.place.namespace, body)
	if err != nil {
		return w.unasked(err)
	}
	var made rollbackAnswer
	if err := json.Unmarshal(data, &made); err != nil {
		return fmt.Errorf("reading the rollback that was made: %w", err)
	}
	w.name = made.Metadata.Name
	now := "nothing serves"
	if w.before != 0 {
		now = fmt.Sprintf("release %d serves", w.before)
	}
	return w.say("asked for %s of %s, where %s\n", o.target(), w.place, now)
}

// target is --to in words.
func (o rollbackCommand) target() string {
	switch {
	case o.To == "previous":
		return "the previous release"
	case len(o.To) < shortestCommit:
		return "release " + o.To
	}
	return "commit " + o.To
}

// unasked says why there is no Rollback.
func (w *watch) unasked(err error) error {
	switch {
	case errors.Is(err, ErrForbidden):
		return &fault{
			what: "you may not roll back " + w.place.String(), why: err.Error(),
			next: fmt.Sprintf("ask the platform owner to bind the ClusterRole inhaul-rollback to you in namespace %s, or re-run an older workflow run", w.place.namespace),
		}
	case errors.Is(err, ErrNotFound):
		return &fault{
			what: "the cluster knows no rollbacks", why: err.Error(),
			next: "ask the platform owner to upgrade the agent (deploy/), or re-run an older workflow run",
		}
	case errors.Is(err, ErrRefused):
		return &fault{what: "the cluster does not take the rollback", why: err.Error(), next: "mend that, and ask again"}
	}
	return fmt.Errorf("asking for a rollback: %w", err)
}

// user is the name by which the API server knows whoever asks.
func (cluster Cluster) user(ctx context.Context) (string, error) {
	data, err := cluster.Users.Self(ctx)
	if err != nil {
		return "", unanswered("SelfSubjectReview, which says who you are", err, "Kubernetes has it since 1.28")
	}
	var review struct {
		Status struct {
			UserInfo struct {
				Username string `json:"username"`
			} `json:"userInfo"`
		} `json:"status"`
	}
	err = json.Unmarshal(data, &review)
	if err == nil && review.Status.UserInfo.Username == "" {
		err = errors.New("it gives no name")
	}
	if err != nil {
		return "", fmt.Errorf("asking the API server who you are: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// rollbackObject is a Rollback to be made, see api/v1alpha1.
func rollbackObject(p place, o rollbackCommand, user string) map[string]any {
	spec := map[string]any{"app": p.app, "environment": p.environment, "to": o.To, "requestedBy": user}
	if o.Reason != "" {
		spec["reason"] = o.Reason
	}
	return map[string]any{
		"apiVersion": apiGroup + "v1alpha1", "kind": "Rollback",
		"metadata": map[string]any{"generateName": p.app + "-", "namespace": p.namespace}, "spec": spec,
	}
}

// rollbackAnswer is what is read of a Rollback.
type rollbackAnswer struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Phase   string `json:"phase"`
		Release int    `json:"release"`
		Message string `json:"message"`
	} `json:"status"`
}
