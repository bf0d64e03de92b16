// Package serve is the lab's background process: the registry, the mirror of
// the hub, the GitHub stand-in, and the bridge into a real node's network.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/netns"
	"github.com/inhaul/inhaul/lab/registry"
)

const (
	headerTimeout = 10 * time.Second
	// shutdownTime is what open requests get; nobody waits for them longer.
	shutdownTime = time.Second
)

// LabRepositories is the prefix of the repositories whose tags the lab itself
// moves when its programs change.
const LabRepositories = "lab/"

// Run serves until ctx ends. nodePID is a process inside a real node's network
// namespace, or 0.
func Run(ctx context.Context, lab *layout.Lab, nodePID int, logger *slog.Logger) error {
	token, err := os.ReadFile(lab.TokenFile())
	if err != nil {
		return fmt.Errorf("reading the registry's token: %w", err)
	}
	images, err := registry.New(registry.Config{
		Dir:       lab.Path("registry"),
		Token:     strings.TrimSpace(string(token)),
		Immutable: true,
		Mutable: func(repository, tag string) bool {
			return registry.CacheTags(repository, tag) || strings.HasPrefix(repository, LabRepositories)
		},
	})
	if err != nil {
		return fmt.Errorf("opening the registry: %w", err)
	}
	defer images.Close()
	mirror, err := registry.New(registry.Config{Dir: lab.Path("mirror")})
	if err != nil {
		return fmt.Errorf("opening the mirror: %w", err)
	}
	defer mirror.Close()
	hub, closeHub, err := gitHub(lab, logger)
	if err != nil {
		return err
	}
	defer func() {
		if err := closeHub(); err != nil {
			logger.Error("closing the GitHub stand-in", "error", err)
		}
	}()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return listen(ctx, lab.Registry(), images, lab.Path("certs", "registry.crt"), lab.Path("certs", "registry.key"))
	})
	group.Go(func() error { return listen(ctx, lab.Mirror(), mirror, "", "") })
	group.Go(func() error { return listen(ctx, lab.GitHub(), hub, "", "") })
	if nodePID != 0 {
		inside := netns.Of(nodePID)
		group.Go(func() error { return listen(ctx, lab.Proxy(), netns.NewProxy(inside, logger), "", "") })
		for _, f := range bridge(lab, inside) {
			group.Go(func() error { return f.Run(ctx, logger) })
		}
	}
	logger.Info("serving", "name", lab.Registry())
	return group.Wait()
}

// bridge makes the host's services reachable in the node's namespace, by the
// node and by pods, and the API server reachable on the host.
func bridge(lab *layout.Lab, inside netns.Namespace) []netns.Forward {
	api := net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.Ports.API))
	forwards := []netns.Forward{{Listen: api, To: inside, Target: api}}
	for _, port := range []int{lab.Ports.Registry, lab.Ports.Mirror, lab.Ports.GitHub} {
		target := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		for _, host := range []string{"127.0.0.1", layout.NodeAddress} {
			listen := net.JoinHostPort(host, strconv.Itoa(port))
			forwards = append(forwards, netns.Forward{From: inside, Listen: listen, Target: target})
		}
	}
	return forwards
}

func listen(ctx context.Context, address string, h http.Handler, certFile, keyFile string) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	})
	defer stop()
	if certFile != "" {
		err = server.ServeTLS(l, certFile, keyFile)
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving on %s: %w", address, err)
}
