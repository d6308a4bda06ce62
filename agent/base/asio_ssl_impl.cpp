// Asio's TLS, by itself: a program without TLS then needs no OpenSSL where it runs.
#include <boost/asio/ssl/impl/src.hpp>
