/* PyTorch as oracle: it takes our checkpoints and goes on, and we take its own. Skipped unless GRADUS_PYTHON names a Python with torch. */
#define _GNU_SOURCE
#include "helper_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs a script with one argument, the folder; its output is for people. */
static void python(const char *dir, const char *script)
{
    char path[512], command[2048];
    snprintf(path, sizeof path, "%s/oracle.py", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(script, file);
    fclose(file);
    snprintf(command, sizeof command, "'%s' '%s' '%s'", getenv("GRADUS_PYTHON"), path, dir);
    assert_int_equal(system(command), 0);
}

static bool no_python(void)
{
    const char *name = getenv("GRADUS_PYTHON");
    char command[1024];
    snprintf(command, sizeof command, "'%s' -c 'import torch' 2>/dev/null", name ? name : "");
    return !name || system(command) != 0;
}

#define NETWORK                                                                                                             \
    "import sys, torch, struct\n"                                                                                           \
    "dir = sys.argv[1]\n"                                                                                                   \
    "torch.manual_seed(0)\n"                                                                                                \
    "net = torch.nn.Sequential(torch.nn.Linear(2, 24), torch.nn.BatchNorm1d(24), torch.nn.ReLU(), torch.nn.Dropout(0.1),\n" \
    "                          torch.nn.Linear(24, 3))\n"

static const char *const with_optimizer[] = { "adam lr=1e-2", "adamw lr=1e-2 amsgrad=true", "sgd lr=1e-2 momentum=0.9 nesterov=true", "sgd lr=1e-2" };

/* The network's logits on 100 samples, in evaluation mode. */
static void logits(run *r, const float *x, float *out)
{
    grd_var h = r->logits;
    grd_plan *plan;
    grd_compile_opts opts = { .loss = GRD_NONE, .keep = { h }, .n_keep = 1 };
    grd_shape shape[GRD_MAX_INPUTS] = { { 2, { 100, 2 } }, { 1, { 100 } } };
    OK(r->ctx, grd_model_plan(r->model, &opts, shape, &plan));
    OK(r->ctx, grd_plan_run(plan, &(grd_run){ .input = { x } }));
    memcpy(out, grd_plan_value(plan, h, NULL), 300 * sizeof(float));
}

static void torch_takes_our_checkpoint_and_goes_on(void **state)
{
    (void)state;
    if (no_python())
        skip();
    for (size_t i = 0; i < sizeof with_optimizer / sizeof *with_optimizer; i++) {
        char dir[256], path[512];
        run r;
        float x[200], out[300];
        make_folder(dir, "torch");
        run_open(&r, NULL);
        r.opts.dir = dir;
        r.opts.optim = with_optimizer[i];
        OK(r.ctx, run_fit(&r)); /* the model then holds what is in best.pth */
        for (int k = 0; k < 200; k++)
            x[k] = (float)sin(k);
        logits(&r, x, out);
        snprintf(path, sizeof path, "%s/io.bin", dir);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fwrite(x, sizeof x, 1, file);
        fwrite(out, sizeof out, 1, file);
        fclose(file);
        static const char *const name[] = { "Adam", "AdamW", "SGD", "SGD" };
        char script[4096];
        snprintf(script, sizeof script,
                 NETWORK
                 "best = torch.load(dir + '/best.pth', weights_only=True)\n"
                 "assert list(best['state_dict']) == list(net.state_dict()), list(best['state_dict'])\n"
                 "for k, v in net.state_dict().items(): assert best['state_dict'][k].dtype == v.dtype and best['state_dict'][k].shape == v.shape, k\n"
                 "net.load_state_dict(best['state_dict']); net.eval()\n"
                 "raw = torch.frombuffer(bytearray(open(dir + '/io.bin', 'rb').read()), dtype=torch.float32)\n"
                 "x, ours = raw[:200].view(100, 2), raw[200:].view(100, 3)\n"
                 "assert (net(x) - ours).abs().max() < 1e-5, (net(x) - ours).abs().max()\n"
                 "last = torch.load(dir + '/last.pth', weights_only=True, mmap=True)\n"
                 "assert last['epoch'] == 3 and last['lr'] == 1e-2 and last['gradus']['step'] == 21\n"
                 "net.load_state_dict(last['state_dict']); net.train()\n"
                 "opt = torch.optim.%s(net.parameters(), lr=1.0)\n"
                 "keys = set(opt.state_dict()['param_groups'][0])\n"
                 "opt.load_state_dict(last['optimizer'])\n"
                 "assert opt.param_groups[0]['lr'] == 1e-2 and keys <= set(opt.param_groups[0]), keys - set(opt.param_groups[0])\n"
                 "for p in net.parameters():\n"
                 "    for k, v in opt.state[p].items(): assert k == 'step' or v.shape == p.shape\n"
                 "    if 'step' in opt.state[p]: assert opt.state[p]['step'] == 21\n"
                 "net(x).square().mean().backward(); opt.step()\n"
                 "print('torch goes on from ours:', type(opt).__name__)\n", name[i]);
        python(dir, script);
        run_close(&r);
        remove_folder(dir);
    }
}

static void we_take_torch_s_state_dict(void **state)
{
    (void)state;
    if (no_python())
        skip();
    static const char *const file_of[] = { "net.state_dict()", "{'model_state_dict': net.state_dict(), 'epoch': 3}",
                                           "{'module.' + k: v for k, v in net.state_dict().items()}" };
    for (size_t i = 0; i < sizeof file_of / sizeof *file_of; i++) {
        char dir[256], path[512], script[2048];
        make_folder(dir, "fromtorch");
        snprintf(script, sizeof script,
                 NETWORK
                 "for _ in range(3): net(torch.randn(50, 2))\n"
                 "torch.save(%s, dir + '/torch.pth'); net.eval()\n"
                 "x = torch.randn(100, 2)\n"
                 "open(dir + '/io.bin', 'wb').write(x.numpy().tobytes() + net(x).detach().numpy().tobytes())\n", file_of[i]);
        python(dir, script);
        run r;
        int loaded;
        float out[300];
        size_t size;
        run_open(&r, NULL);
        snprintf(path, sizeof path, "%s/torch.pth", dir);
        OK(r.ctx, grd_model_load(r.model, path, NULL, &loaded));
        assert_int_equal(loaded, 9);
        char *io = read_text(dir, "io.bin", &size);
        assert_int_equal(size, 500 * sizeof(float));
        float *numbers = malloc(size);
        assert_non_null(numbers);
        memcpy(numbers, io, size);
        logits(&r, numbers, out);
        for (int k = 0; k < 300; k++)
            assert_true(fabsf(out[k] - numbers[200 + k]) < 1e-5f);
        free(numbers);
        free(io);
        run_close(&r);
        remove_folder(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_takes_our_checkpoint_and_goes_on),
        cmocka_unit_test(we_take_torch_s_state_dict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
