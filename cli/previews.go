package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// PreviewLog is what the agent has on record of previews.
type PreviewLog interface {
	// Previews returns a list of Previews of a namespace, which goes on where its token
	// to continue says; the empty token is the beginning.
	Previews(ctx context.Context, namespace, token string) ([]byte, error)
	// Wake applies what is given to a Preview that is there.
	Wake(ctx context.Context, namespace, name string, preview []byte) error
}

// Quotas are the quotas of namespaces.
type Quotas interface {
	// Quota returns a ResourceQuota, with what is used of it.
	Quota(ctx context.Context, namespace, name string) ([]byte, error)
}

// previewQuota is the name of the ResourceQuota that the agent gives each preview.
const previewQuota = "inhaul-preview"

// previewsCommand is `inhaul previews`.
type previewsCommand struct {
	App  string `placeholder:"NAME" help:"Those of this app alone."`
	JSON bool   `name:"json" help:"Print a JSON array instead of a table."`

	Cluster Connection `embed:""`
}

// Help is shown by --help.
func (previewsCommand) Help() string {
	return `PHASE is awake, asleep (scaled to zero), waking, waiting (for room), or ending. OWNER is who made
the newest release. CPU and MEMORY are what its pods request now. Nothing is changed anywhere.

Needs the right to list previews and to get apps in the agent's namespace (of inhaul.dev). What
else you may not read is shown as -: releases and resourcequotas of the previews' namespaces.

Examples:

    inhaul previews
    inhaul previews --app shop --json

Exit codes: 0 done; 1 yours to mend; 2 ours, or the network's.`
}

// previewRecord is what is read of a Preview, see api/v1alpha1.
type previewRecord struct {
	Metadata struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		App         string `json:"app"`
		PullRequest int    `json:"pullRequest"`
	} `json:"spec"`
	Status struct {
		Phase      string          `json:"phase"`
		Message    string          `json:"message"`
		Namespace  string          `json:"namespace"`
		Repository string          `json:"repository"`
		CreatedAt  *time.Time      `json:"createdAt"`
		LastPushAt *time.Time      `json:"lastPushAt"`
		AsleepAt   *time.Time      `json:"asleepAt"`
		Turning    bool            `json:"turning"`
		Waiting    json.RawMessage `json:"waiting"`
	} `json:"status"`
}

// The phases of a preview for people.
const (
	previewAwake   = "awake"
	previewAsleep  = "asleep"
	previewWaking  = "waking"
	previewWaiting = "waiting"
	previewEnding  = "ending"
)

// environment is the name of p.
func (p previewRecord) environment() string { return "pr-" + strconv.Itoa(p.Spec.PullRequest) }

// phase is how p is; empty if there is none any more.
func (p previewRecord) phase() string {
	switch {
	case p.Status.Phase == "Destroying":
		return previewEnding
	case len(p.Status.Waiting) > 0:
		return previewWaiting
	case p.Status.Phase != "Active":
		return ""
	case p.Status.AsleepAt != nil:
		return previewAsleep
	case p.Status.Turning:
		return previewWaking
	}
	return previewAwake
}

// shownPreview is a preview as --json prints it.
type shownPreview struct {
	App         string     `json:"app"`
	Preview     string     `json:"preview"`
	PullRequest int        `json:"pullRequest"`
	Repository  string     `json:"repository,omitempty"`
	Phase       string     `json:"phase"`
	Namespace   string     `json:"namespace,omitempty"`
	Owner       string     `json:"owner,omitempty"`
	CreatedAt   *time.Time `json:"createdAt,omitempty"`
	LastPushAt  *time.Time `json:"lastPushAt,omitempty"`
	AsleepAt    *time.Time `json:"asleepAt,omitempty"`
	CPU         string     `json:"cpu,omitempty"`    // requested by the pods of its namespace
	Memory      string     `json:"memory,omitempty"` // requested by the pods of its namespace
	URL         string     `json:"url,omitempty"`
	Message     string     `json:"message,omitempty"`
}

// Run lists the previews.
func (o previewsCommand) Run(ctx context.Context, c Commands) error {
	cluster, err := c.connect(o.Cluster)
	if err != nil {
		return err
	}
	records, err := cluster.previews(ctx, o.Cluster.Namespace)
	if err != nil {
		return err
	}
	shown, urls := []shownPreview{}, map[string]func(int) string{}
	for _, p := range records {
		if p.phase() == "" || o.App != "" && p.Spec.App != o.App {
			continue
		}
		s, err := cluster.shown(ctx, p, urls)
		if err != nil {
			return err
		}
		shown = append(shown, s)
	}
	if o.JSON {
		encoder := json.NewEncoder(c.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(shown)
	}
	if len(shown) == 0 {
		_, err := fmt.Fprintln(c.Stdout, "there are no previews")
		return err
	}
	since := func(at *time.Time) string {
		if at == nil {
			return "-"
		}
		return age(c.Now().Sub(*at))
	}
	table := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "APP\tPREVIEW\tPHASE\tAGE\tPUSHED\tOWNER\tCPU\tMEMORY\tURL") // Flush tells
	for _, s := range shown {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(s.App), s.Preview, s.Phase, since(s.CreatedAt), since(s.LastPushAt),
			cell(s.Owner), cell(s.CPU), cell(s.Memory), cell(s.URL))
	}
	return table.Flush()
}

// previews are the records of all previews, by app and number.
func (cluster Cluster) previews(ctx context.Context, agent string) ([]previewRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	var all []previewRecord
	token := ""
	for range maxPages {
		data, err := cluster.PreviewLog.Previews(ctx, agent, token)
		if err != nil {
			return nil, unanswered("previews in namespace "+agent, err, "--namespace says where the agent lives; an older agent has none")
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []previewRecord `json:"items"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, fmt.Errorf("reading the previews in namespace %s: %w", agent, err)
		}
		all = append(all, page.Items...)
		if token = page.Metadata.Continue; token == "" {
			slices.SortFunc(all, func(a, b previewRecord) int {
				return cmp.Or(cmp.Compare(a.Spec.App, b.Spec.App), cmp.Compare(a.Spec.PullRequest, b.Spec.PullRequest))
			})
			return all, nil
		}
	}
	return nil, fmt.Errorf("reading the previews in namespace %s: more than %d pages", agent, maxPages)
}

// shown is p with what other objects tell of it, as far as it may be read. The
// addresses of an app's previews are kept in urls.
func (cluster Cluster) shown(ctx context.Context, p previewRecord, urls map[string]func(int) string) (shownPreview, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	s := shownPreview{
		App: p.Spec.App, Preview: p.environment(), PullRequest: p.Spec.PullRequest, Repository: p.Status.Repository, Phase: p.phase(),
		Namespace: p.Status.Namespace, CreatedAt: p.Status.CreatedAt, LastPushAt: p.Status.LastPushAt, AsleepAt: p.Status.AsleepAt, Message: p.Status.Message,
	}
	if urls[s.App] == nil {
		address, err := cluster.addresses(ctx, s.App)
		if err != nil {
			return s, err
		}
		urls[s.App] = address
	}
	s.URL = urls[s.App](s.PullRequest)
	if s.Namespace == "" || s.Phase == previewWaiting {
		return s, nil
	}
	releases, err := cluster.records(ctx, place{app: s.App, environment: s.Preview, namespace: s.Namespace})
	if fault := (*fault)(nil); err != nil && !errors.As(err, &fault) { // else it may not be read, or is gone
		return s, err
	}
	if len(releases) > 0 {
		s.Owner = releases[0].Spec.Source.Actor
	}
	data, err := cluster.Quotas.Quota(ctx, s.Namespace, previewQuota)
	if unseen(err) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the quota of namespace %s: %w", s.Namespace, err)
	}
	var quota struct {
		Status struct {
			Used map[string]string `json:"used"`
		} `json:"status"`
	}
	if err := json.Unmarshal(data, &quota); err != nil {
		return s, fmt.Errorf("reading the quota of namespace %s: %w", s.Namespace, err)
	}
	s.CPU, s.Memory = quota.Status.Used["requests.cpu"], quota.Status.Used["requests.memory"]
	return s, nil
}

// unseen reports whether err says that something may not be read, or is not there.
func unseen(err error) bool { return errors.Is(err, ErrForbidden) || errors.Is(err, ErrNotFound) }

// addresses says where the previews of app answer; nowhere if its App does not tell.
func (cluster Cluster) addresses(ctx context.Context, app string) (func(int) string, error) {
	data, err := cluster.Releases.App(ctx, app)
	if err != nil && !unseen(err) {
		return nil, fmt.Errorf("reading App %s: %w", app, err)
	}
	var a struct {
		Spec struct {
			Previews struct {
				Host  string `json:"host"`
				URL   string `json:"url"`
				Group string `json:"group"`
			} `json:"previews"`
		} `json:"spec"`
	}
	if err == nil {
		if err := json.Unmarshal(data, &a); err != nil {
			return nil, fmt.Errorf("reading App %s: %w", app, err)
		}
	}
	template := a.Spec.Previews.URL
	if template == "" && a.Spec.Previews.Host != "" {
		template = "https://" + a.Spec.Previews.Host
	}
	return func(number int) string {
		return strings.NewReplacer("{app}", app, "{group}", a.Spec.Previews.Group, "{number}", strconv.Itoa(number)).Replace(template)
	}, nil
}
