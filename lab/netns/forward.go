package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
)

// Forward carries TCP connections from Listen in one namespace to Target in
// another.
type Forward struct {
	From   Namespace
	Listen string
	To     Namespace
	Target string
}

// ParseForward reads LISTEN=TARGET; both are in the caller's namespace.
func ParseForward(s string) (Forward, error) {
	listen, target, ok := strings.Cut(s, "=")
	if !ok || listen == "" || target == "" {
		return Forward{}, fmt.Errorf("reading a forward: got %q, want LISTEN=TARGET", s)
	}
	return Forward{Listen: listen, Target: target}, nil
}

// Run accepts until ctx ends, then closes what is open and returns nil.
func (f Forward) Run(ctx context.Context, logger *slog.Logger) error {
	l, err := f.From.Listen(ctx, "tcp", f.Listen)
	if err != nil {
		return fmt.Errorf("forwarding %s to %s: %w", f.Listen, f.Target, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		client, err := l.Accept()
		if err != nil {
			cancel()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accepting on %s: %w", f.Listen, err)
		}
		connections.Go(func() {
			server, err := f.To.Dial(ctx, "tcp", f.Target)
			if err != nil {
				logger.Debug("forward refused", "name", f.Target, "error", err)
				client.Close()
				return
			}
			Join(ctx, client, server)
		})
	}
}

// Join copies both ways, passes half-closes on, and closes both connections
// when both directions have ended or ctx has.
func Join(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	var ways sync.WaitGroup
	ways.Go(func() { pass(a, b) })
	ways.Go(func() { pass(b, a) })
	ways.Wait()
	a.Close()
	b.Close()
}

func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // the other side may have closed already
		return
	}
	to.Close()
	from.Close()
}
