package netns

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
)

// Proxy is an HTTP forward proxy whose connections start inside a namespace:
// plain requests with an absolute URI, and CONNECT. Every request gets a
// connection of its own, so that it meets what the network says now: a kept one
// would go on reaching a pod that has left its Service.
type Proxy struct {
	namespace Namespace
	plain     *httputil.ReverseProxy
	logger    *slog.Logger
}

var _ http.Handler = (*Proxy)(nil)

// NewProxy returns a proxy into n.
func NewProxy(n Namespace, logger *slog.Logger) *Proxy {
	return &Proxy{
		namespace: n,
		logger:    logger,
		plain: &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
			Transport:     &http.Transport{DialContext: n.Dial, DisableKeepAlives: true},
			FlushInterval: -1, // at once: streams pass
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, err.Error(), http.StatusBadGateway)
			},
		},
	}
}

// ServeHTTP forwards one request or opens one tunnel.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method == http.MethodConnect:
		p.tunnel(w, req)
	case req.URL.IsAbs():
		p.plain.ServeHTTP(w, req)
	default:
		http.Error(w, "this is a proxy: use curl -x", http.StatusBadRequest)
	}
}

func (p *Proxy) tunnel(w http.ResponseWriter, req *http.Request) {
	server, err := p.namespace.Dial(req.Context(), "tcp", req.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		server.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		p.logger.Debug("tunnel lost", "name", req.Host, "error", err)
	}
	Join(req.Context(), unread{client, buffered.Reader}, server)
}

// unread gives back what the server had already read from a hijacked connection.
type unread struct {
	net.Conn
	buffered *bufio.Reader
}

func (u unread) Read(b []byte) (int, error) { return u.buffered.Read(b) }

func (u unread) CloseWrite() error {
	if half, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return u.Close()
}
