// Command inhaul-agent runs in the cluster: it pulls signed deploy intents from
// a registry, verifies them, applies them and reports on their commits. It
// accepts no traffic but health probes and scrapes of its metrics.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/cluster"
	"github.com/inhaul/inhaul/internal/metrics"
	"github.com/inhaul/inhaul/internal/oci"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv))
}

// run is the agent; its result is the exit code: 1 for a setting that the user
// has to mend, 2 for what failed at run time.
func run(ctx context.Context, args []string, getenv func(string) string) int {
	settings, err := parse(args, getenv)
	if errors.Is(err, errHelp) {
		fmt.Print(help)
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "inhaul-agent:", err)
		return 1
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: settings.logLevel}))
	if err := serve(ctx, settings, logger); err != nil && ctx.Err() == nil {
		logger.Error("agent stopped", "error", err)
		return 2
	}
	return 0
}

// serve wires the way of a deploy:
//
//	registry -> intake (verify, policy, order) -> Release -> predeploy -> rollout -> ways out
//	  oci         agent, intent                   cluster    cluster      cluster    github, oci
//	Rollback -> request (target, domains) ------^
//	 cluster      agent
func serve(ctx context.Context, s settings, logger *slog.Logger) error {
	config, err := clusterConfig(s.kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the cluster's address: %w", err)
	}
	chaos := newChaos()
	client, err := cluster.New(ctx, chaos.onto(config), cluster.Options{
		Namespace: s.namespace, Logger: logger.With("component", "cluster"), Now: chaos.now,
	})
	if err != nil {
		return err
	}
	counted := metrics.New(metrics.Config{
		Apps: client, Releases: client, Previews: client, Ways: s.ways(), Poll: cmp.Or(s.pollInterval, agent.SlowestPoll), Now: time.Now,
	})
	out, err := waysOut(s, counted, client.Leads, logger)
	if err != nil {
		return err
	}
	registry := oci.New(oci.WithUserAgent("inhaul-agent/" + version()))
	if s.receipts {
		out.Receipts = newReceipts(registry, client, client.Leads, chaos.now, logger)
	}
	group, ctx := errgroup.WithContext(ctx)
	health := &health{metrics: counted}
	group.Go(func() error { return health.serve(ctx, s.healthAddress) })
	group.Go(func() error { return client.Start(ctx) })
	group.Go(func() error {
		if err := client.WaitSynced(ctx); err != nil {
			return err
		}
		health.ready.Store(true)
		var ended error // why the agent stopped by itself; the process then starts anew
		err := client.Lead(ctx, s.identity, func(ctx context.Context) {
			logger.Info("leading", "name", s.identity)
			defer counted.Lead()()
			a := agent.New(chaos.around(agent.Ports{
				Registry: intents{registry}, Keys: newIssuers(logger), Apps: client, Releases: client, Reader: client,
				Planner: client, Cluster: client, Tasks: client, Cleaner: client, Drifts: client, Witness: client,
				Requests: client, Requesters: client, Previews: client, Records: client, Namespaces: client, Tenancies: client, Databases: client, Clones: client, Meter: counted, Pulse: counted,
				Checks: out.Checks, Statuses: out.Statuses, Receipts: out.Receipts, Deployments: out.Deployments,
				Comments: out.Comments, PullRequests: out.PullRequests,
				OpenPulls: out.OpenPulls, Spaces: client, Rails: client, Sweeps: counted,
			}), agent.Config{PollInterval: s.pollInterval, SweepInterval: s.sweepInterval, ServerURL: s.githubServerURL, Now: chaos.now, Logger: logger.With("component", "agent")})
			ended = a.Run(ctx)
		})
		return errors.Join(err, ended)
	})
	return group.Wait()
}

// clusterConfig is that of the pod's own cluster without a kubeconfig file.
func clusterConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}

// released is the version of a release's build, which writes it by -X.
var released string //nolint:gochecknoglobals // the linker writes into nothing else

// version is that of the release, or the module's.
func version() string {
	if released != "" {
		return released
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
